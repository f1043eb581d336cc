// How a function gets and returns a structure that does not fit into registers.
#pragma once

#include <cstdint>

#include "calltap/calltap.h"

// On the stack, and to where a hidden first argument points, which is the result.
inline constexpr unsigned kFirstArgument = 1;
inline std::uint64_t large_argument(const ct_regs* regs, unsigned n) {
  return ct_regs_stack_argument(regs, n);
}
inline const std::uint64_t* large_result(const ct_regs* regs) {
  return reinterpret_cast<const std::uint64_t*>(ct_regs_return_value(regs));
}
