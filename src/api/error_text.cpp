#include "api/error_text.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>

namespace calltap::api {
namespace {

using base::ErrorCode;

constexpr std::size_t kMaxText = 512;
thread_local constinit char last_text[kMaxText] = {};

int errno_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kNone:
      return 0;
    case ErrorCode::kNoMatch:
      return ENOENT;
    case ErrorCode::kNotAnEntry:
      return ENXIO;
    case ErrorCode::kNoFilter:
    case ErrorCode::kNoHandler:
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kFilterSyntax:
    case ErrorCode::kOtherKind:
      return EINVAL;
    case ErrorCode::kAlreadyRegistered:
      return EEXIST;
    case ErrorCode::kNotRegistered:
      return ESRCH;
    case ErrorCode::kHasDirect:
    case ErrorCode::kHasRedirect:
    case ErrorCode::kMaySetIp:
    case ErrorCode::kPermanentClient:
    case ErrorCode::kSwitchedOff:
      return EBUSY;
    case ErrorCode::kNotExecutable:
      return EACCES;
    case ErrorCode::kInHandler:
      return EDEADLK;
    case ErrorCode::kPatchingStopped:
    case ErrorCode::kTextMismatch:
      return ENODEV;
    case ErrorCode::kSiteNotPatchable:
    case ErrorCode::kCoreSyncUnavailable:
    case ErrorCode::kThreadBlocksTrap:
      return EOPNOTSUPP;
    case ErrorCode::kTooManyDirect:
      return ENOSPC;
    case ErrorCode::kOutOfMemory:
    case ErrorCode::kNoRoomInReach:
      return ENOMEM;
    default:
      return EPERM;
  }
}

void append(std::string_view text) {
  const std::size_t used = std::strlen(last_text);
  const std::size_t room = kMaxText - 1 - used;
  const std::size_t size = text.size() < room ? text.size() : room;
  std::memcpy(last_text + used, text.data(), size);
  last_text[used + size] = '\0';
}

void append_code(std::span<const std::uint8_t> code) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  if (code.empty()) return;
  append(" (code:");
  for (const std::uint8_t byte : code) {
    append(" ");
    append(kDigits.substr(byte >> 4, 1));
    append(kDigits.substr(byte & 15, 1));
  }
  append(")");
}

void append_description(base::Error error, const ops::Failure& failure) {
  if (failure.function[0] != '\0') {
    append("'");
    append(failure.function);
    append("': ");
  }
  const std::uint64_t column = error.code == ErrorCode::kFilterSyntax ? std::exchange(error.address, 0) : 0;
  char description[kMaxText];
  append({description, base::describe(error, description)});
  if (column != 0) {
    append(" in column ");
    char digits[20];
    std::size_t at = sizeof digits;
    for (std::uint64_t rest = column; rest != 0; rest /= 10)
      digits[--at] = static_cast<char>('0' + rest % 10);
    append({digits + at, sizeof digits - at});
  }
  if (!failure.reason.empty()) {
    append(": ");
    append(failure.reason);
  }
  if (failure.near_misses[0] != '\0') {
    append("; did you mean ");
    append(failure.near_misses);
    append("?");
  }
  if (failure.stripped[0] != '\0') {
    append("; ");
    append(failure.stripped);
    append(" has no symbol table (stripped), only what it exports has names");
  }
  if (failure.has_client) {
    append(failure.client[0] != '\0' ? ": the ops '" : ": an ops without a name");
    append(failure.client);
    if (failure.client[0] != '\0') append("'");
  }
  append_code({failure.code, failure.code_bytes});
}

}  // namespace

void describe(const base::Error& error, const ops::Failure& failure, std::span<char> out) {
  char kept[kMaxText];
  std::memcpy(kept, last_text, sizeof kept);
  last_text[0] = '\0';
  if (failure.module[0] != '\0') {
    append(failure.module);
    append(": ");
  }
  append_description(error, failure);
  const std::size_t length = std::min(std::strlen(last_text), out.size() - 1);
  std::memcpy(out.data(), last_text, length);
  out[length] = '\0';
  std::memcpy(last_text, kept, sizeof kept);
}

int report(const char* function, const base::Result<void>& result, const ops::Failure& failure) {
  if (result) return 0;
  last_text[0] = '\0';
  append(function);
  append(": ");
  append_description(result.error(), failure);
  errno = errno_of(result.error().code);  // for those that return NULL
  return -errno;
}

int report(const char* function, ErrorCode code, std::string_view reason) {
  ops::Failure failure;
  failure.reason = reason;
  return report(function, base::Result<void>(code), failure);
}

}  // namespace calltap::api

extern "C" __attribute__((visibility("default"))) const char* ct_error_text(void) {
  return calltap::api::last_text;
}
