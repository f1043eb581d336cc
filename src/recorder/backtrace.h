// The call stack of a hooked call, found inside it.
//
// Tables say where callers are (unwind/call_frame.h), so it does not matter how they were compiled, and
// trampolines are passed like other functions. Nothing of libgcc or backtrace() is used: they take locks,
// load libraries and trust what is on the stack.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/error.h"
#include "ops/failure.h"

namespace calltap::recorder {

/// With the function that was called.
inline constexpr std::size_t kMostFrames = 128;

struct Backtrace {
  /// The function that was called, then the addresses that calls return to, from the inside out, without
  /// Calltap's own.
  std::span<const std::uint64_t> frames;
  /// Down to where the thread began. Else there are more callers, which could not be found or are too many.
  bool is_complete = false;
};

/// Memory for backtraces of so many writers, before the first is taken. Errors: kOutOfMemory;
/// kInvalidArgument where the C library cannot be asked for tables in a handler (before glibc 2.35).
base::Result<void> prepare_backtraces(std::size_t writers, ops::Failure& failure);

/// Nobody takes any more: gives the memory back.
void release_backtraces();
/// Between the two.
bool has_backtraces();

/// The stack of the calling thread, in a handler of a call of the function `entry`. Valid until the same
/// writer's next one. Signals must be blocked; general registers alone are not enough (_dl_find_object).
/// System calls and reads of loaded modules' unwind tables only; never faults, whatever is on the stack, as
/// long as the modules whose functions are on it stay loaded. Takes about 1,000 bytes of that stack.
Backtrace take_backtrace(std::size_t writer, std::uint64_t entry);

}  // namespace calltap::recorder
