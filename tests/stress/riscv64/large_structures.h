// How a function gets and returns a structure that does not fit into registers.
#pragma once

#include <cstdint>

#include "calltap/calltap.h"

// By its address, behind a hidden first argument, which points to where it is returned and which nobody knows
// at the end, and one more.
inline constexpr unsigned kFirstArgument = 1;
inline std::uint64_t large_argument(const ct_regs* regs, unsigned n) {
  return reinterpret_cast<const std::uint64_t*>(ct_regs_argument(regs, 2))[n];
}
inline const std::uint64_t* large_result(const ct_regs*) { return nullptr; }
