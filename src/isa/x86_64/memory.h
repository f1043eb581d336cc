// Copies and fills that use general registers only.
#pragma once

#include <cstddef>

namespace calltap::isa::x86_64 {

/// From the first byte to the last; the ranges do not overlap, or `to` lies below `from`.
inline void copy_bytes(void* to, const void* from, std::size_t n) {
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
}

/// From the first byte to the last.
inline void fill_bytes(void* to, int value, std::size_t n) {
  __asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(value) : "memory");
}

}  // namespace calltap::isa::x86_64
