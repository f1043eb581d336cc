// Which unwinders the process has. The personality routine must read a register of the frame it is called
// for, and only the unwinder that calls it can do that: programs may carry a private copy (-static-libgcc)
// beside libgcc_s.
#pragma once

#include <cstdint>

namespace calltap::trampoline {

/// _Unwind_GetGR and _Unwind_GetIP of one unwinder.
struct Unwinder {
  unsigned long (*get_register)(void* context, int dwarf_register) = nullptr;
  unsigned long (*get_address)(void* context) = nullptr;
};

/// Code in [low, high) that calls a personality routine is served by these functions. Safe beside find; call
/// under the runtime's module lock.
void add_unwinder(std::uint64_t low, std::uint64_t high, Unwinder unwinder);
void remove_unwinder(std::uint64_t low);

}  // namespace calltap::trampoline
