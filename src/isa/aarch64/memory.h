// Copies and fills that use general registers only. In assembly, or the compiler sees a memcpy or a memset.
#pragma once

#include <cstddef>
#include <cstdint>

namespace calltap::isa::aarch64 {

/// From the first byte to the last; the ranges do not overlap, or `to` lies below `from`.
inline void copy_bytes(void* to, const void* from, std::size_t n) {
  std::uint64_t low;
  std::uint64_t high;
  for (; n >= 16; n -= 16) {
    __asm__ volatile(
        "ldp %2, %3, [%1], #16\n"
        "stp %2, %3, [%0], #16"
        : "+r"(to), "+r"(from), "=&r"(low), "=&r"(high)
        :
        : "memory");
  }
  for (; n > 0; --n) {
    __asm__ volatile(
        "ldrb %w2, [%1], #1\n"
        "strb %w2, [%0], #1"
        : "+r"(to), "+r"(from), "=&r"(low)
        :
        : "memory");
  }
}

/// From the first byte to the last.
inline void fill_bytes(void* to, int value, std::size_t n) {
  const std::uint64_t word = static_cast<std::uint8_t>(value) * 0x0101010101010101u;
  for (; n >= 16; n -= 16) __asm__ volatile("stp %1, %1, [%0], #16" : "+r"(to) : "r"(word) : "memory");
  for (; n > 0; --n) __asm__ volatile("strb %w1, [%0], #1" : "+r"(to) : "r"(word) : "memory");
}

}  // namespace calltap::isa::aarch64
