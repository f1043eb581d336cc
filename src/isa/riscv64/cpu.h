// What the processor does for code that runs inside a hooked call.
#pragma once

#include <cstdint>

namespace calltap::isa::riscv64 {

/// Do a thread's loads happen in their order, as others' stores do?
inline constexpr bool kLoadsKeepOrder = false;

/// Ticks of the clock that events carry: the timer, which all harts share.
inline std::uint64_t read_clock() {
  std::uint64_t ticks;
  __asm__ volatile("rdtime %0" : "=r"(ticks));
  return ticks;
}

/// The thread pointer. In a thread that libc made, its control block lies below and its static TLS above, all
/// at the end of its stack's mapping.
inline std::uint64_t thread_pointer() {
  std::uint64_t value;
  __asm__("mv %0, tp" : "=r"(value));
  return value;
}

/// Adds to a counter that only this thread changes, though also in its signal handlers: none of them can come
/// between reading and writing. Says nothing about the order of other accesses.
inline void add_once(std::uint64_t& counter, std::uint64_t n) {
  __asm__("amoadd.d zero, %1, %0" : "+A"(counter) : "r"(n));
}

/// Increments a word as add_once() does, and says whether it is zero now: a claim. It acquires what was
/// stored before the word was given free, for that may have been in another thread.
inline bool increment_is_zero(std::int32_t& word) {
  std::int32_t before;
  __asm__("amoadd.w.aq %0, %2, %1" : "=r"(before), "+A"(word) : "r"(1) : "memory");
  return before == -1;
}

}  // namespace calltap::isa::riscv64
