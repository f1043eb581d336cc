// The one place that selects the architecture the code is built for.
#pragma once

#if defined(__x86_64__)
#include "isa/x86_64/cpu.h"
#include "isa/x86_64/memory.h"
#include "isa/x86_64/syscall.h"
#include "isa/x86_64/unwind_registers.h"
namespace calltap::isa {
namespace native = x86_64;
}
#elif defined(__aarch64__)
#include "isa/aarch64/cpu.h"
#include "isa/aarch64/memory.h"
#include "isa/aarch64/syscall.h"
#include "isa/aarch64/unwind_registers.h"
namespace calltap::isa {
namespace native = aarch64;
}
#elif defined(__riscv) && __riscv_xlen == 64
#include "isa/riscv64/cpu.h"
#include "isa/riscv64/memory.h"
#include "isa/riscv64/syscall.h"
#include "isa/riscv64/unwind_registers.h"
namespace calltap::isa {
namespace native = riscv64;
}
#else
#error "calltap is not available for this architecture"
#endif
