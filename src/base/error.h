// Errors of core and runtime: one list, one text each, with the address and the bytes where they matter.
//
// No exceptions here: the runtime lives inside programs that may be built without them.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>

namespace calltap::base {

enum class ErrorCode : std::uint16_t {
  kNone = 0,
  // files
  kFileOpen,
  kFileRead,
  kFileTooLarge,
  kNotElf,
  kElfTruncated,
  kElfForeignClass,
  kElfForeignMachine,
  kElfMalformed,
  kElfNotLoadable,
  kElfNoSectionHeaders,
  kBuildIdMismatch,
  // memory
  kOutOfMemory,
  kNoRoomInReach,
  kMemoryProtect,
  // patching
  kTextMismatch,
  kTextUnreadable,
  kTextUnwritable,
  kCoreSyncUnavailable,
  kSiteNotPatchable,
  kOutOfReach,
  kMisaligned,
  kThreadBlocksTrap,
  kNotSingleThreaded,
  // session
  kConnect,
  kProtocol,
  kVersion,
  kRefused,
  // filters
  kFilterSyntax,
  // clients
  kNoMatch,
  kNotAnEntry,
  kNoFilter,
  kNoHandler,
  kInvalidArgument,
  kAlreadyRegistered,
  kNotRegistered,
  kHasDirect,
  kHasRedirect,
  kMaySetIp,
  kOtherKind,
  kNotExecutable,
  kPermanentClient,
  kSwitchedOff,
  kInHandler,
  kPatchingStopped,
  kTooManyDirect,
  kCount
};

/// One sentence fragment in lower case, without a full stop: fits behind "calltap: ".
/// Any thread, signal-safe.
std::string_view text(ErrorCode code);

/// An error with what a reader needs to judge it. Trivially copyable, never allocates.
struct Error {
  static constexpr std::size_t kMaxBytes = 16;

  ErrorCode code = ErrorCode::kNone;
  /// errno of the failed system call, 0 if none.
  int system_error = 0;
  /// Where in the target or the file; 0 if that means nothing for this code.
  std::uint64_t address = 0;
  std::uint8_t byte_count = 0;
  std::array<std::uint8_t, kMaxBytes> expected{};
  std::array<std::uint8_t, kMaxBytes> found{};

  constexpr Error() = default;
  constexpr explicit Error(ErrorCode c, int sys = 0, std::uint64_t addr = 0)
      : code(c), system_error(sys), address(addr) {}

  /// A mismatch between what a site should hold and what it holds.
  static Error mismatch(std::uint64_t address, std::span<const std::uint8_t> expected,
                        std::span<const std::uint8_t> found);
};

/// Writes "text at 0x1234: expected 90 90, found cc 90 (errno 14)" into `out`; returns the length used.
/// Truncates to fit, always leaves a terminating zero when `out` is not empty. Any thread, signal-safe.
std::size_t describe(const Error& error, std::span<char> out);

/// A value or an error. Move-only values are fine; T must be default-constructible.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}  // NOLINT: implicit by design
  Result(Error error) : error_(error) {}         // NOLINT
  Result(ErrorCode code) : error_(code) {}       // NOLINT

  [[nodiscard]] bool ok() const { return error_.code == ErrorCode::kNone; }
  explicit operator bool() const { return ok(); }
  T& operator*() & { return value_; }
  const T& operator*() const& { return value_; }
  T&& operator*() && { return std::move(value_); }
  T* operator->() { return &value_; }
  const T* operator->() const { return &value_; }
  [[nodiscard]] const Error& error() const { return error_; }

 private:
  T value_{};
  Error error_{};
};

/// Success or an error.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(error) {}    // NOLINT
  Result(ErrorCode code) : error_(code) {}  // NOLINT

  [[nodiscard]] bool ok() const { return error_.code == ErrorCode::kNone; }
  explicit operator bool() const { return ok(); }
  [[nodiscard]] const Error& error() const { return error_; }

 private:
  Error error_{};
};

}  // namespace calltap::base
