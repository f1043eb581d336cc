// How a function gets and returns a structure that does not fit into registers.
#pragma once

#include <cstdint>

#include "calltap/calltap.h"

// By its address, behind the first argument, and to where x8 pointed, which nobody knows at the end.
inline constexpr unsigned kFirstArgument = 0;
inline std::uint64_t large_argument(const ct_regs* regs, unsigned n) {
  return reinterpret_cast<const std::uint64_t*>(ct_regs_argument(regs, 1))[n];
}
inline const std::uint64_t* large_result(const ct_regs*) { return nullptr; }
