// How code is written on RISC-V.
#include <sys/mman.h>

#include "patch/words/word_writer.h"

namespace calltap::patch {

const std::size_t kInstructionGrain = 2;

/// The kernel copies with its memcpy, which moves fewer than eight bytes one by one.
bool kernel_stores_words() { return false; }

/// The flush that synchronise_cores() asks the kernel for is all there is.
void clean_caches(std::uint64_t, std::uint64_t) {}

int code_protection(bool) { return PROT_READ | PROT_EXEC; }

void make_returning(ReturningCode& code, std::uint32_t value) {
  code[0] = 0x00000513 | value << 20;  // li a0, value
  code[1] = 0x00008067;                // ret
}

}  // namespace calltap::patch
