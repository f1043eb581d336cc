// The only writer of program text on AArch64 and RISC-V: aligned words, each by one store. Read, compare,
// write; refuse on mismatch.
#pragma once

#include <cstdint>
#include <span>

#include "base/array.h"
#include "base/error.h"

namespace calltap::patch {

/// One word of code to change. Its address is a multiple of its length.
struct WordChange {
  std::uint64_t address = 0;
  std::uint8_t bytes = 0;  // 2 or 4
  std::uint32_t expected = 0;
  std::uint32_t wanted = 0;
};

/// Appends what turns the code at `address` into `code`, where that differs, in words as long as they can be.
/// False when memory is exhausted.
[[nodiscard]] bool add_words(base::Array<WordChange>& changes, std::uint64_t address,
                             std::span<const std::uint8_t> code);

enum class WordWay : std::uint8_t {
  kProcMem,  // one write through /proc/self/mem a word: the page's protection never changes
  kProtect,  // mprotect: the page is writable and executable for the moment of the stores
};

/// Open for the duration of one patching operation. One at a time in a process (the text lock of
/// patch/patcher.h).
class WordWriter {
 public:
  /// `has_landing_pads`: the code was mapped with BTI, as far as the processor has it, and stays so.
  explicit WordWriter(bool has_landing_pads);
  ~WordWriter();
  WordWriter(const WordWriter&) = delete;
  WordWriter& operator=(const WordWriter&) = delete;

  [[nodiscard]] WordWay way() const { return fd_ >= 0 ? WordWay::kProcMem : WordWay::kProtect; }

  /// Makes all changes, in ascending order of address, up to 16 adjacent pages at a time. No other byte is
  /// written, and nothing at all unless every word is as expected. synchronise_cores() makes the change seen
  /// by all. Errors: kTextMismatch (address, expected and found word), kTextUnwritable (address; what came
  /// before it in the list has been written).
  base::Result<void> apply(std::span<const WordChange> sorted);

 private:
  base::Result<void> store(std::span<const WordChange> changes);
  base::Result<void> write_through(const WordChange& change);

  int fd_ = -1;
  int protection_;
};

/// The architecture's part.

/// True if the kernel writes an aligned word through /proc/self/mem by a single store.
bool kernel_stores_words();
/// After code was stored: no core fetches the old one from its caches. Code that a core has fetched already
/// is what synchronise_cores() is for.
void clean_caches(std::uint64_t address, std::uint64_t size);
/// Addresses and lengths of instructions are multiples of this.
extern const std::size_t kInstructionGrain;
/// The protection of code, as it is mapped.
int code_protection(bool has_landing_pads);
/// A function that returns `value`, from 0 to 15.
using ReturningCode = std::uint32_t[2];
void make_returning(ReturningCode& code, std::uint32_t value);

}  // namespace calltap::patch
