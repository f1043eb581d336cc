// The only writer of program text. Read, compare, write; refuse on mismatch.
#pragma once

#include <cstdint>
#include <span>

#include "base/array.h"
#include "base/error.h"

namespace calltap::patch {

/// One byte of code to change.
struct ByteChange {
  std::uint64_t address = 0;
  std::uint8_t expected = 0;
  std::uint8_t wanted = 0;
};

/// How bytes get into pages that the program may only read and execute.
enum class WriteWay : std::uint8_t {
  kProcMem,  // through /proc/self/mem: the page's protection never changes
  kProtect,  // mprotect: the page is writable and executable for the moment of the write
};

/// Open for the duration of one patching operation: no descriptor stays behind in the program. One at a time
/// in a process (the text lock of patch/patcher.h). Not signal-safe with respect to itself.
class TextWriter {
 public:
  TextWriter();
  ~TextWriter();
  TextWriter(const TextWriter&) = delete;
  TextWriter& operator=(const TextWriter&) = delete;

  [[nodiscard]] WriteWay way() const { return fd_ >= 0 ? WriteWay::kProcMem : WriteWay::kProtect; }

  /// Makes all changes, in ascending order of address, up to 16 adjacent pages at a time. Bytes that are not
  /// listed keep their value: they are rewritten with what they were, which no core can see. Nothing is
  /// written unless every byte is as expected. Errors: kTextMismatch (address, expected and found byte),
  /// kTextUnwritable (address; what came before it in the list has been written), kOutOfMemory.
  base::Result<void> apply(std::span<const ByteChange> sorted);

 private:
  base::Result<void> write(std::uint64_t address, std::span<const std::uint8_t> bytes);

  int fd_ = -1;
};

}  // namespace calltap::patch
