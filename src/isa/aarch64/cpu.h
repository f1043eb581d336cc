// What the processor does for code that runs inside a hooked call.
#pragma once

#include <cstdint>

namespace calltap::isa::aarch64 {

/// Do a thread's loads happen in their order, as others' stores do?
inline constexpr bool kLoadsKeepOrder = false;

/// Ticks of the clock that events carry: the virtual counter, which all processors share.
inline std::uint64_t read_clock() {
  std::uint64_t ticks;
  __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
  return ticks;
}

/// The thread pointer. In a thread that libc made, its control block lies below and its static TLS above, all
/// at the end of its stack's mapping.
inline std::uint64_t thread_pointer() {
  std::uint64_t value;
  __asm__("mrs %0, tpidr_el0" : "=r"(value));
  return value;
}

/// Adds to a counter that only this thread changes, though also in its signal handlers: none of them can come
/// between reading and writing. Says nothing about the order of other accesses.
/// (The return from a signal handler ends the exclusive access.)
inline void add_once(std::uint64_t& counter, std::uint64_t n) {
  std::uint64_t sum;
  std::uint32_t failed;
  __asm__(
      "1: ldxr %0, %2\n"
      "add %0, %0, %3\n"
      "stxr %w1, %0, %2\n"
      "cbnz %w1, 1b"
      : "=&r"(sum), "=&r"(failed), "+Q"(counter)
      : "r"(n));
}

/// Increments a word as add_once() does, and says whether it is zero now: a claim. It acquires what was
/// stored before the word was given free, for that may have been in another thread.
inline bool increment_is_zero(std::int32_t& word) {
  std::int32_t sum;
  std::uint32_t failed;
  __asm__(
      "1: ldaxr %w0, %2\n"
      "add %w0, %w0, #1\n"
      "stxr %w1, %w0, %2\n"
      "cbnz %w1, 1b"
      : "=&r"(sum), "=&r"(failed), "+Q"(word)
      :
      : "memory");
  return sum == 0;
}

}  // namespace calltap::isa::aarch64
