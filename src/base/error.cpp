#include "base/error.h"

#include <algorithm>

namespace calltap::base {
namespace {

constexpr std::array<std::string_view, static_cast<std::size_t>(ErrorCode::kCount)> kTexts = {
    "no error",
    "cannot open the file",
    "cannot read the file",
    "the file is too large to map",
    "not an ELF file",
    "the ELF file is truncated",
    "the ELF file is not 64-bit little-endian",
    "the ELF file is for another machine",
    "the ELF file is malformed",
    "the ELF file is neither a program nor a shared library",
    "the ELF file has no section headers",
    "the file on disk is not the one that is loaded (build-id differs)",
    "out of memory",
    "no free address range within branch reach of the module",
    "cannot change the protection of memory",
    "the code is not what it should be, refusing to write",
    "cannot read the code",
    "cannot write the code",
    "the kernel offers no way to synchronise the instruction streams of all cores",
    "the site cannot be patched",
    "the branch target is out of reach",
    "the address is not aligned as the instruction needs it",
    "a thread blocks SIGTRAP, so the trap protocol would kill it",
    "the code can only be converted while the process has a single thread",
    "cannot connect to calltap",
    "unexpected message",
    "the other side speaks another protocol version",
    "that cannot be done now",
    "the filter is malformed",
    "no function matches",
    "not the entry of a function that can be attached to",
    "a direct call, a redirect or a handler with CT_IPMODIFY needs a filter",
    "the client has no handler",
    "invalid argument",
    "the client is registered already",
    "the client is not registered",
    "a function has a direct call already",
    "a function has a redirect already",
    "a function has a handler with CT_IPMODIFY already, which counts as a redirect",
    "the ops is of another kind",
    "the trampoline or replacement is not in executable memory",
    "a permanent client is registered",
    "the global switch is off, and the client is permanent",
    "called by a handler, which it would have to wait for",
    "patching has stopped after an inconsistency",
    "too many functions have had direct calls",
};
static_assert(std::ranges::none_of(kTexts, [](std::string_view t) { return t.empty(); }),
              "every error code needs its own text");

/// Appends to a bounded buffer and keeps it terminated.
class Writer {
 public:
  explicit Writer(std::span<char> out) : out_(out) {
    if (!out_.empty()) out_[0] = '\0';
  }
  void put(std::string_view s) {
    for (char c : s) put(c);
  }
  void put(char c) {
    if (used_ + 1 < out_.size()) {
      out_[used_++] = c;
      out_[used_] = '\0';
    }
  }
  void hex(std::uint64_t v, int digits) {
    for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4) put("0123456789abcdef"[(v >> shift) & 15]);
  }
  void hex(std::uint64_t v) {
    int digits = 1;
    while (digits < 16 && (v >> (digits * 4)) != 0) ++digits;
    hex(v, digits);
  }
  void decimal(unsigned v) {
    if (v >= 10) decimal(v / 10);
    put(static_cast<char>('0' + v % 10));
  }
  void bytes(std::span<const std::uint8_t> b) {
    for (std::size_t i = 0; i < b.size(); ++i) {
      if (i != 0) put(' ');
      hex(b[i], 2);
    }
  }
  [[nodiscard]] std::size_t used() const { return used_; }

 private:
  std::span<char> out_;
  std::size_t used_ = 0;
};

}  // namespace

std::string_view text(ErrorCode code) {
  const auto index = static_cast<std::size_t>(code);
  return index < kTexts.size() ? kTexts[index] : "unknown error";
}

Error Error::mismatch(std::uint64_t address, std::span<const std::uint8_t> expected,
                      std::span<const std::uint8_t> found) {
  Error e(ErrorCode::kTextMismatch, 0, address);
  e.byte_count = static_cast<std::uint8_t>(std::min({expected.size(), found.size(), kMaxBytes}));
  std::copy_n(expected.begin(), e.byte_count, e.expected.begin());
  std::copy_n(found.begin(), e.byte_count, e.found.begin());
  return e;
}

std::size_t describe(const Error& error, std::span<char> out) {
  Writer w(out);
  w.put(text(error.code));
  if (error.address != 0) {
    w.put(" at 0x");
    w.hex(error.address);
  }
  if (error.byte_count != 0) {
    w.put(": expected ");
    w.bytes(std::span(error.expected).first(error.byte_count));
    w.put(", found ");
    w.bytes(std::span(error.found).first(error.byte_count));
  }
  if (error.system_error != 0) {
    w.put(" (errno ");
    w.decimal(static_cast<unsigned>(error.system_error));
    w.put(")");
  }
  return w.used();
}

}  // namespace calltap::base
