// How a module's code was given back, to be undone later.
#pragma once

#include <cstdint>

namespace calltap::patch {

/// One byte's change in one pass.
struct RestoreStep {
  std::uint32_t offset = 0;  // from the module's load bias
  std::uint8_t pass = 0;
  std::uint8_t from = 0;
  std::uint8_t to = 0;
};
inline constexpr std::uint8_t kRestorePasses = 6;

}  // namespace calltap::patch
