// What handlers see of the program's registers: ct_regs, and what differs between architectures about it.
#pragma once

#if defined(__x86_64__)
#include "trampoline/x86_64/regs.h"  // IWYU pragma: export
#elif defined(__aarch64__)
#include "trampoline/aarch64/regs.h"  // IWYU pragma: export
#elif defined(__riscv)
#include "trampoline/riscv64/regs.h"  // IWYU pragma: export
#endif
