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
  std::atomic<GetRegister> get_register{nullptr};
};
constexpr int kMaxUnwinders = 16;
KnownUnwinder unwinders[kMaxUnwinders];

GetRegister find_unwinder(std::uint64_t caller) {
  for (const KnownUnwinder& u : unwinders) {
    if (u.low.load(std::memory_order_acquire) <= caller && caller < u.high.load(std::memory_order_acquire)) {
      return u.get_register.load(std::memory_order_relaxed);
    }
  }
  return nullptr;
}

}  // namespace

void add_unwinder(std::uint64_t low, std::uint64_t high, GetRegister get_register) {
  for (KnownUnwinder& u : unwinders) {
    const std::uint64_t old_low = u.low.load(std::memory_order_relaxed);
    if (u.high.load(std::memory_order_relaxed) != 0 && old_low != low) continue;
    u.get_register.store(get_register, std::memory_order_relaxed);
    u.low.store(low, std::memory_order_release);
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
  const GetRegister get_register =
      find_unwinder(reinterpret_cast<std::uint64_t>(__builtin_return_address(0)));
  if (get_register == nullptr) return kContinueUnwind;
  auto* frame = reinterpret_cast<CallFrame*>(get_register(context, kRbx));
  const isa::SignalsBlocked blocked;
  if ((frame->flags & CallFrame::kReported) == 0) {
    frame->flags |= CallFrame::kReported;
    constexpr std::uint64_t kEntryToUnwound = 2;
    if (frame->event_bits != 0) ct_event_write(frame->event_bits + kEntryToUnwound);
  }
  ThreadState& thread = ct_thread;
  thread.top = frame->parent;
  CallFrame* passed = thread.unwound;
  thread.unwound = frame;
  if (passed != nullptr && passed != frame) {
    passed->sp = CallFrame::kNoStack;
    passed->flags = 0;
    passed->owner = CallFrame::kFree;
    if (passed->home == thread.home) {
      passed->next = thread.free;
      thread.free = passed;
    }
  }
  return kContinueUnwind;
}
