// Which unwinders the process has. The personality routine must read a register of the frame it is called
// for, and only the unwinder that calls it can do that: programs may carry a private copy (-static-libgcc)
// beside libgcc_s.
#pragma once

#include <cstdint>

namespace calltap::trampoline {

/// Functions of one unwinder: _Unwind_GetGR, _Unwind_GetIP, _Unwind_SetGR, _Unwind_SetIP,
/// _Unwind_DeleteException.
struct Unwinder {
  unsigned long (*get_register)(void* context, int dwarf_register) = nullptr;
  unsigned long (*get_address)(void* context) = nullptr;
  void (*set_register)(void* context, int dwarf_register, unsigned long value) = nullptr;
  void (*set_address)(void* context, unsigned long address) = nullptr;
  void (*delete_exception)(void* exception) = nullptr;
};

/// The C++ library's __cxa_begin_catch and __cxa_end_catch, which end a C++ exception so that
/// std::uncaught_exceptions() stays right. Null in a program without it.
struct Catcher {
  void* (*begin)(void* exception) = nullptr;
  void (*end)() = nullptr;
};
void set_catcher(Catcher catcher);

/// Exceptions that came out of handlers so far.
std::uint64_t handlers_thrown();

/// Code in [low, high) that calls a personality routine is served by these functions. Safe beside find; call
/// under the runtime's module lock.
void add_unwinder(std::uint64_t low, std::uint64_t high, Unwinder unwinder);
void remove_unwinder(std::uint64_t low);

}  // namespace calltap::trampoline
