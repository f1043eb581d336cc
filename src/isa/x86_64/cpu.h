// What the processor does for code that runs inside a hooked call.
#pragma once

#include <cstdint>

namespace calltap::isa::x86_64 {

/// Do a thread's loads happen in their order, as others' stores do?
inline constexpr bool kLoadsKeepOrder = true;

/// Ticks of the clock that events carry.
inline std::uint64_t read_clock() { return __builtin_ia32_rdtsc(); }

/// The thread pointer. In a thread that libc made, it is the end of the thread's stack and static TLS.
inline std::uint64_t thread_pointer() {
  std::uint64_t value;
  __asm__("movq %%fs:0, %0" : "=r"(value));
  return value;
}

/// Adds to a counter that only this thread changes, though also in its signal handlers: none of them can come
/// between reading and writing. Says nothing about the order of other accesses.
inline void add_once(std::uint64_t& counter, std::uint64_t n) {
  __asm__("addq %1, %0" : "+m"(counter) : "re"(n) : "cc");
}

/// Increments a word as add_once() does, and says whether it is zero now: a claim. It acquires what was
/// stored before the word was given free, for that may have been in another thread.
inline bool increment_is_zero(std::int32_t& word) {
  bool zero;
  __asm__("incl %0" : "+m"(word), "=@ccz"(zero) : : "memory");
  return zero;
}

}  // namespace calltap::isa::x86_64
