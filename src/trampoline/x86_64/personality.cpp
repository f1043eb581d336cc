// What an exception does when it passes a trampoline: the call ended without returning.
#include <atomic>

#include "isa/system.h"
#include "trampoline/frames.h"
#include "trampoline/unwinder.h"

namespace calltap::trampoline {
namespace {

// From the Itanium C++ ABI, level 1; libgcc's and LLVM's unwinders agree.
constexpr int kContinueUnwind = 8;
constexpr int kCleanupPhase = 2;
constexpr int kRbx = 3;  // DWARF register number

struct KnownUnwinder {
  std::atomic<std::uint64_t> low{0};
  std::atomic<std::uint64_t> high{0};
  Unwinder functions;  // written before `high`, which makes the entry valid
};
constexpr int kMaxUnwinders = 16;
KnownUnwinder unwinders[kMaxUnwinders];

Unwinder find_unwinder(std::uint64_t caller) {
  for (const KnownUnwinder& u : unwinders) {
    if (caller < u.high.load(std::memory_order_acquire) && u.low.load(std::memory_order_relaxed) <= caller) {
      return u.functions;
    }
  }
  return {};
}

bool is_between(std::uint64_t address, const char* begin, const char* end) {
  return address >= reinterpret_cast<std::uint64_t>(begin) && address <= reinterpret_cast<std::uint64_t>(end);
}

/// An asynchronous cancellation may strike where the trampoline has no call frame yet, or none any more.
bool has_frame(std::uint64_t address) {
  return is_between(address, ct_recorder_owned, ct_recorder_let_go) ||
         is_between(address, ct_recorder_aside, ct_recorder_aside_end) ||
         is_between(address, ct_bare_hook_owned, ct_bare_hook_let_go) ||
         is_between(address, ct_bare_hook_aside, ct_bare_hook_aside_end);
}

}  // namespace

void add_unwinder(std::uint64_t low, std::uint64_t high, Unwinder functions) {
  for (KnownUnwinder& u : unwinders) {
    if (u.high.load(std::memory_order_relaxed) != 0 && u.low.load(std::memory_order_relaxed) != low) continue;
    u.functions = functions;
    u.low.store(low, std::memory_order_relaxed);
    u.high.store(high, std::memory_order_release);
    return;
  }
}

void remove_unwinder(std::uint64_t low) {
  for (KnownUnwinder& u : unwinders) {
    if (u.high.load(std::memory_order_relaxed) != 0 && u.low.load(std::memory_order_relaxed) == low) {
      u.high.store(0, std::memory_order_release);
    }
  }
}

}  // namespace calltap::trampoline

using namespace calltap;
using namespace calltap::trampoline;

/// Called by the unwinder for the trampoline's frame. If the unwinder cannot be asked for the register that
/// holds the call frame, nothing is done: the frame is then found like one that a longjmp left behind.
///
/// The unwinder reads the call frame once more after this returns, so the frame is not freed now but when the
/// next one is passed, or when the thread ends.
extern "C" int ct_personality(int /*version*/, int actions, std::uint64_t /*exception_class*/,
                              void* /*exception*/, void* context) {
  if ((actions & kCleanupPhase) == 0) return kContinueUnwind;
  const Unwinder unwinder = find_unwinder(reinterpret_cast<std::uint64_t>(__builtin_return_address(0)));
  if (unwinder.get_register == nullptr || !has_frame(unwinder.get_address(context))) return kContinueUnwind;
  auto* frame = reinterpret_cast<CallFrame*>(unwinder.get_register(context, kRbx));
  const isa::SignalsBlocked blocked;
  report_unwound(*frame);
  ThreadState& thread = ct_thread;
  thread.top = frame->parent;
  CallFrame* passed = thread.unwound;
  thread.unwound = frame;
  if (passed == nullptr || passed == frame) return kContinueUnwind;
  if (passed->home == thread.home) {
    put_free(thread, *passed);
  } else {
    passed->sp = CallFrame::kNoStack;
    passed->flags = CallFrame::kFreeFlags;
    passed->event = 0;
    passed->owner = CallFrame::kFree;
  }
  return kContinueUnwind;
}
