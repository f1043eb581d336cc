// Small blocks of memory for the engine. The program's malloc may be hooked, locked or interposed.
//
// Called under the engine's lock.
#pragma once

#include <cstddef>

namespace calltap::ops {

/// Zeroed, 16-byte aligned, at most 1 MiB. Null when memory is exhausted.
void* allocate(std::size_t bytes);
/// `bytes` as it was given to allocate().
void release(void* memory, std::size_t bytes);

}  // namespace calltap::ops
