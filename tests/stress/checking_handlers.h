// Handlers that know what they have to see. There are two sets of the same ones: compiled as usual, and with
// general registers only.
#pragma once

#include <cstdint>

#include "calltap/calltap.h"

namespace checking {

/// What a client owns. Nobody may touch it after the client's unregister has returned: its page is protected
/// then.
struct Client {
  ct_ops* ops;
  std::uint64_t entries;
  std::uint64_t exits;
  std::uint64_t cancelled;
};

/// How often handlers saw what they must not see, by reason.
enum Mistake {
  kForeignOps,
  kUnknownFunction,
  kWrongArgument,
  kForeignData,
  kWrongResult,
  kWrongEnd,
  kMistakes
};
extern std::uint64_t mistakes[kMistakes];

// What the thread sanitizer cannot see, for neither the guards of threads nor membarrier are anything it
// knows: that what was stored before an ops is registered, or its filter changed, comes before its handlers,
// and they before the end of its unregister or disable. This is what calltap.h promises. Everything else in
// these programs it sees.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define CHECKED_BY_THREAD_SANITIZER 1
#endif
#endif
#ifdef CHECKED_BY_THREAD_SANITIZER
extern "C" void __tsan_acquire(void* address);
extern "C" void __tsan_release(void* address);
inline void ordered_after(void* what) { __tsan_acquire(what); }
inline void ordered_before(void* what) { __tsan_release(what); }
/// Its functions, which it calls everywhere, use vector registers: no handler has general registers only.
inline constexpr bool kHasGeneralHandlers = false;
#else
inline void ordered_after(void* /*what*/) {}
inline void ordered_before(void* /*what*/) {}
inline constexpr bool kHasGeneralHandlers = true;
#endif

#define CHECKING_HANDLERS                                                                          \
  void on_call(std::uint64_t ip, std::uint64_t parent_ip, ct_ops* ops, ct_regs* regs);             \
  int on_entry(std::uint64_t ip, std::uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data); \
  void on_exit(std::uint64_t ip, std::uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data);
namespace with_vectors {
CHECKING_HANDLERS
}
namespace general {
CHECKING_HANDLERS
}

}  // namespace checking
