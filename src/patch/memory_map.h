// The process's own mappings.
#pragma once

#include <cstdint>

#include "base/array.h"
#include "base/error.h"
#include "plan/plan.h"

namespace calltap::patch {

/// Of the running kernel: not the same everywhere but on x86-64. Signal-safe.
std::uint64_t page_bytes();

/// Used address ranges in ascending order, neighbours merged. Errors: kFileRead, kOutOfMemory. Any thread;
/// system calls only.
base::Result<base::Array<plan::Range>> read_memory_map();

/// True if the address lies in memory that can be executed. Errors: kFileRead.
base::Result<bool> is_executable_memory(std::uint64_t address);
/// The mapping that the address lies in, empty if there is none or it cannot be executed. Errors: kFileRead.
base::Result<plan::Range> executable_mapping(std::uint64_t address);

/// Adds a range in its place. False when memory is exhausted.
[[nodiscard]] bool add_range(base::Array<plan::Range>& ranges, plan::Range range);

/// Number of threads of the process, 0 if /proc cannot be read.
unsigned thread_count();

/// True if some thread but the calling one blocks the signal, or if that cannot be found out.
bool any_other_thread_blocks(int signal);

}  // namespace calltap::patch
