// The process's own mappings.
#pragma once

#include "base/array.h"
#include "base/error.h"
#include "plan/plan.h"

namespace calltap::patch {

/// Used address ranges in ascending order, neighbours merged. Errors: kFileRead, kOutOfMemory. Any thread;
/// system calls only.
base::Result<base::Array<plan::Range>> read_memory_map();

/// True if the address lies in memory that can be executed. Errors: kFileRead.
base::Result<bool> is_executable_memory(std::uint64_t address);

/// Adds a range in its place. False when memory is exhausted.
[[nodiscard]] bool add_range(base::Array<plan::Range>& ranges, plan::Range range);

/// Number of threads of the process, 0 if /proc cannot be read.
unsigned thread_count();

/// True if some thread but the calling one blocks the signal, or if that cannot be found out.
bool any_other_thread_blocks(int signal);

}  // namespace calltap::patch
