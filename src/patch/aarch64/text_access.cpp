// How code is written on AArch64.
#include <sys/auxv.h>
#include <sys/mman.h>

#include "patch/words/word_writer.h"

namespace calltap::patch {

const std::size_t kInstructionGrain = 4;

/// The kernel copies with its memcpy, which moves four bytes by one load and one store each, or by two of the
/// same word. Where the processor has instructions for copying that may be done with these, of which nothing
/// is known.
bool kernel_stores_words() {
  constexpr unsigned long kMemoryCopyInstructions = 1UL << 43;  // HWCAP2_MOPS
  return (::getauxval(AT_HWCAP2) & kMemoryCopyInstructions) == 0;
}

void clean_caches(std::uint64_t address, std::uint64_t size) {
  std::uint64_t type;
  __asm__("mrs %0, ctr_el0" : "=r"(type));
  const std::uint64_t data_line = std::uint64_t{4} << (type >> 16 & 15);
  const std::uint64_t code_line = std::uint64_t{4} << (type & 15);
  for (std::uint64_t at = address & ~(data_line - 1); at < address + size; at += data_line)
    __asm__ volatile("dc cvau, %0" : : "r"(at) : "memory");
  __asm__ volatile("dsb ish" : : : "memory");
  for (std::uint64_t at = address & ~(code_line - 1); at < address + size; at += code_line)
    __asm__ volatile("ic ivau, %0" : : "r"(at) : "memory");
  __asm__ volatile("dsb ish; isb" : : : "memory");
}

int code_protection(bool has_landing_pads) {
  constexpr unsigned long kBranchTargets = 1UL << 17;  // HWCAP2_BTI
  constexpr int kProtectBranchTargets = 0x10;          // PROT_BTI
  const bool is_guarded = has_landing_pads && (::getauxval(AT_HWCAP2) & kBranchTargets) != 0;
  return PROT_READ | PROT_EXEC | (is_guarded ? kProtectBranchTargets : 0);
}

void make_returning(ReturningCode& code, std::uint32_t value) {
  code[0] = 0x52800000 | value << 5;  // mov w0, #value
  code[1] = 0xd65f03c0;               // ret
}

}  // namespace calltap::patch
