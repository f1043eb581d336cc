// The words of an event kArguments: what the registers that pass arguments held when a function was entered.
//
// First the integer registers, in the order in which the architecture's calling convention uses them, then
// the low 64 bits of the floating-point ones. How many of each there are is in the layout:
//
//    31               16 15           8 7            0
//   +-------------------+--------------+--------------+
//   | 0                 | floating     | integer      |
//   +-------------------+--------------+--------------+
//
// Which of them the function's parameters are in, the event does not know.
#pragma once

#include <cstdint>

namespace calltap::event {

constexpr std::uint32_t arguments_layout(std::uint32_t integers, std::uint32_t floats) {
  return integers | floats << 8;
}
constexpr std::uint32_t integers_of(std::uint32_t layout) { return layout & 0xff; }
constexpr std::uint32_t floats_of(std::uint32_t layout) { return layout >> 8 & 0xff; }

}  // namespace calltap::event
