// Calltap's C++20 interface: attach lambdas to the functions of the calling process while it runs.
//
// Header-only, over the C interface of calltap.h, which says what the verbs do. docs/api.md is the guide.
// Nothing here throws; it works with -fno-exceptions and -fno-rtti.
//
//   expected.hpp  Error and Expected<T>: what everything that can fail returns
//   regs.hpp      EntryRegs and ExitRegs: the registers of a hooked call
//   ops.hpp       Callback, Probe, Direct, Redirect: the clients, owned
#pragma once

#include <cerrno>
#include <cstdint>
#include <string>
#include <type_traits>

#include "calltap/expected.hpp"
#include "calltap/ops.hpp"
#include "calltap/regs.hpp"

namespace calltap {

/// The global switch. Off: every client is detached, EBUSY while a permanent one is attached. On: all are
/// back. EDEADLK in a handler.
inline Expected<void> set_enabled(bool on) { return detail::check(ct_set_enabled(on ? 1 : 0)); }
[[nodiscard]] inline bool enabled() { return ct_enabled() != 0; }

/// Who is attached where, a line a function (see ct_enabled_functions). EDEADLK in a handler.
inline Expected<std::string> enabled_functions() {
  std::string text(1024, '\0');
  for (;;) {
    const long length = ct_enabled_functions(text.data(), text.size());
    if (length < 0) return Error::last(static_cast<int>(length));
    const bool fits = static_cast<std::size_t>(length) < text.size();
    text.resize(static_cast<std::size_t>(length) + (fits ? 0 : 1));
    if (fits) return text;
  }
}

/// Exceptions that came out of handlers of all clients, in the life of the process. Any context.
[[nodiscard]] inline std::uint64_t handlers_thrown() { return ct_handlers_thrown(); }

/// The function past all hooks: what a replacement calls as the original. Null if no client has ever been
/// attached to it. In handlers too.
template <class Function>
requires std::is_function_v<Function>
[[nodiscard]] Function* original(Function* function) {
  return reinterpret_cast<Function*>(ct_original(reinterpret_cast<const void*>(function)));
}

}  // namespace calltap
