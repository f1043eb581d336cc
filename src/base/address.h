// Addresses of different spaces have different types, so that one cannot be used for another.
//
// LinkAddress   an address as the linker wrote it in the ELF file (p_vaddr, st_value).
// TargetAddress an address in the running target: link address + load bias.
//
// Neither is a pointer in this process, even where the numbers agree.
#pragma once

#include <compare>
#include <cstdint>

namespace calltap::base {

template <class Space>
struct Address {
  std::uint64_t value = 0;

  constexpr Address() = default;
  constexpr explicit Address(std::uint64_t v) : value(v) {}

  friend constexpr auto operator<=>(Address, Address) = default;
  friend constexpr Address operator+(Address a, std::int64_t bytes) {
    return Address(a.value + static_cast<std::uint64_t>(bytes));
  }
  friend constexpr Address operator-(Address a, std::int64_t bytes) {
    return Address(a.value - static_cast<std::uint64_t>(bytes));
  }
  /// Distance in bytes, modulo 2^64.
  friend constexpr std::int64_t operator-(Address a, Address b) {
    return static_cast<std::int64_t>(a.value - b.value);
  }
};

using LinkAddress = Address<struct LinkSpace>;
using TargetAddress = Address<struct TargetSpace>;

/// Where a link address lies in a target that loaded the module with this bias (`dlpi_addr`, 0 for non-PIE).
constexpr TargetAddress to_target(LinkAddress a, std::uint64_t load_bias) {
  return TargetAddress(a.value + load_bias);
}
constexpr LinkAddress to_link(TargetAddress a, std::uint64_t load_bias) {
  return LinkAddress(a.value - load_bias);
}

}  // namespace calltap::base
