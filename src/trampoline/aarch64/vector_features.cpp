#include <asm/hwcap.h>
#include <sys/auxv.h>

#include "trampoline/code.h"

namespace calltap::trampoline {

void detect_vectors() {
  // Not 0: the trampolines keep the registers of SVE, at the length that the thread has.
  code().imports->vector_features = (getauxval(AT_HWCAP) & HWCAP_SVE) != 0 ? 1 : 0;
}

}  // namespace calltap::trampoline
