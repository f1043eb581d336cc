// A copy of the buffers of flight mode, made while threads go on writing into them.
#pragma once

#include "base/error.h"
#include "buffer/pool.h"

namespace calltap::runtime {

/// A memory file with everything that the pool holds, laid out like it; the descriptor is the caller's. A
/// packet that is overwritten while it is being copied is left out after three tries: it has become the
/// newest one, and what it held the oldest. Errors: kOutOfMemory (errno).
base::Result<int> copy_buffers(buffer::Pool pool);

}  // namespace calltap::runtime
