// Copies and fills that use general registers only. Words are aligned: others may take a trap into the
// kernel.
#pragma once

#include <cstddef>
#include <cstdint>

namespace calltap::isa::riscv64 {

/// From the first byte to the last; the ranges do not overlap, or `to` lies below `from`.
inline void copy_bytes(void* to, const void* from, std::size_t n) {
  auto* out = static_cast<std::uint8_t*>(to);
  const auto* in = static_cast<const std::uint8_t*>(from);
  const bool by_words =
      (reinterpret_cast<std::uintptr_t>(out) ^ reinterpret_cast<std::uintptr_t>(in)) % 8 == 0;
  while (n > 0) {
    if (by_words && n >= 8 && reinterpret_cast<std::uintptr_t>(out) % 8 == 0) {
      *reinterpret_cast<std::uint64_t*>(out) = *reinterpret_cast<const std::uint64_t*>(in);
      out += 8;
      in += 8;
      n -= 8;
    } else {
      *out++ = *in++;
      --n;
    }
    __asm__ volatile("" : : : "memory");  // or the compiler sees a memcpy here
  }
}

/// From the first byte to the last.
inline void fill_bytes(void* to, int value, std::size_t n) {
  auto* out = static_cast<std::uint8_t*>(to);
  const auto byte = static_cast<std::uint8_t>(value);
  while (n > 0) {
    if (n >= 8 && reinterpret_cast<std::uintptr_t>(out) % 8 == 0) {
      *reinterpret_cast<std::uint64_t*>(out) = byte * 0x0101010101010101u;
      out += 8;
      n -= 8;
    } else {
      *out++ = byte;
      --n;
    }
    __asm__ volatile("" : : : "memory");  // or the compiler sees a memset here
  }
}

}  // namespace calltap::isa::riscv64
