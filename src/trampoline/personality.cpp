// What an exception does when it meets a trampoline. One from the hooked function passes: the call has ended
// without returning. One from a handler ends here: a client's mistakes are not the program's.
#include <unistd.h>

#include <atomic>

#include "isa/system.h"
#include "trampoline/code.h"
#include "trampoline/frames.h"
#include "trampoline/handlers.h"
#include "trampoline/regs.h"
#include "trampoline/unwinder.h"

namespace calltap::trampoline {
namespace {

// From the Itanium C++ ABI, level 1; libgcc's and LLVM's unwinders agree.
constexpr int kHandlerFound = 6;
constexpr int kInstallContext = 7;
constexpr int kContinueUnwind = 8;
constexpr int kSearchPhase = 1;
constexpr int kCleanupPhase = 2;
constexpr int kForcedUnwind = 8;

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

/// An asynchronous cancellation may strike where the trampoline has no call frame yet, or none any more.
bool has_frame(std::uint64_t address) {
  for (const CodeRange& range : code().with_frame) {
    if (address >= reinterpret_cast<std::uint64_t>(range.begin) &&
        address <= reinterpret_cast<std::uint64_t>(range.end)) {
      return true;
    }
  }
  return false;
}

const HandlerCall* find_handler_call(std::uint64_t address) {
  for (const HandlerCall& call : code().handler_calls) {
    if (address == reinterpret_cast<std::uint64_t>(call.returns_to)) return &call;
  }
  return nullptr;
}

/// The thread is being unwound from within a handler, as by pthread_exit.
void leave_guard() {
  Guard* guard = ct_thread.guard;
  if (!guard->is_entered()) return;
  const auto& regs = *reinterpret_cast<const ct_regs*>(guard->sp());
  guard->set((regs.flags & CT_REGS_NESTED) == 0 ? 0 : regs.saved_word);
}

/// An exception comes out of a handler.
int catch_exception(const Unwinder& unwinder, int actions, void* exception, void* context,
                    const HandlerCall& call) {
  const bool can_catch = unwinder.set_register != nullptr && unwinder.set_address != nullptr;
  if ((actions & kForcedUnwind) != 0 || !can_catch) {
    // A list's handlers are called under the guard of the trampoline that called the list.
    if ((actions & kCleanupPhase) != 0 && call.kind != HandlerCall::kOfList) leave_guard();
    return kContinueUnwind;
  }
  if ((actions & kSearchPhase) != 0) return kHandlerFound;
  unwinder.set_register(context, kFirstResultRegister, reinterpret_cast<unsigned long>(exception));
  unwinder.set_address(context, reinterpret_cast<unsigned long>(call.threw));
  return kInstallContext;
}

Catcher catcher;
std::atomic<std::uint64_t> thrown_exceptions{0};

}  // namespace

void set_catcher(Catcher c) { catcher = c; }

std::uint64_t handlers_thrown() { return thrown_exceptions.load(std::memory_order_relaxed); }

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
                              void* exception, void* context) {
  const Unwinder unwinder = find_unwinder(reinterpret_cast<std::uint64_t>(__builtin_return_address(0)));
  if (unwinder.get_register == nullptr) return kContinueUnwind;
  const std::uint64_t address = unwinder.get_address(context);
  const HandlerCall* call = find_handler_call(address);
  if (call != nullptr) {
    const int reason = catch_exception(unwinder, actions, exception, context, *call);
    if (reason != kContinueUnwind) return reason;
  }
  if ((actions & kCleanupPhase) == 0 || !has_frame(address)) return kContinueUnwind;
  auto* frame = reinterpret_cast<CallFrame*>(unwinder.get_register(context, kFrameRegister));
  const isa::SignalsBlocked blocked;
  if (call != nullptr) begin_exit(*frame);
  report_unwound(*frame);
  ThreadState& thread = ct_thread;
  thread.top = frame->parent;
  CallFrame* passed = thread.unwound;
  thread.unwound = frame;
  if (passed == nullptr || passed == frame) return kContinueUnwind;
  let_go(thread, *passed);
  return kContinueUnwind;
}

/// From the trampoline, after a handler has thrown: the exception is over.
extern "C" void ct_handler_threw(void* exception) {
  // The first field of _Unwind_Exception is its class: four characters of the vendor, four of the language.
  constexpr std::uint64_t kCpp = 0x432b2b00;  // "C++\0"
  std::uint64_t exception_class = 0;
  __builtin_memcpy(&exception_class, exception, sizeof exception_class);
  if (catcher.begin != nullptr && (exception_class & 0xffffffff) == kCpp) {
    catcher.begin(exception);
    catcher.end();
  } else {
    for (const KnownUnwinder& u : unwinders) {
      if (u.high.load(std::memory_order_acquire) == 0 || u.functions.delete_exception == nullptr) continue;
      u.functions.delete_exception(exception);
      break;
    }
  }
  if (thrown_exceptions.fetch_add(1, std::memory_order_relaxed) == 0) {
    constexpr char kText[] = "calltap: a handler threw an exception; it was caught, and the call goes on\n";
    isa::native::system_call(SYS_write, STDERR_FILENO, reinterpret_cast<long>(kText), sizeof kText - 1);
  }
}
