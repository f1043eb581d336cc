// The one place that selects the architecture the code is built for.
#pragma once

#if defined(__x86_64__)
#include "isa/x86_64/syscall.h"
namespace calltap::isa {
namespace native = x86_64;
}
#else
#error "calltap's runtime is not available for this architecture yet"
#endif
