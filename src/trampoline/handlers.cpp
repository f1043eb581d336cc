#include "trampoline/handlers.h"

#include "isa/system.h"
#include "trampoline/code.h"
#include "trampoline/guards.h"
#include "trampoline/regs.h"
#include "trampoline/signal_frame.h"

using namespace calltap;
using namespace calltap::trampoline;

namespace calltap::trampoline {
namespace {

/// The call runs unhooked for this client: in its counter, and, if it is the recorder, in the trace.
void miss(Guard& guard, const Client& client, Miss why) {
  count_missed(guard, client);
  if (!client.is_recorder) return;
  const isa::SignalsBlocked blocked;
  ct_event_missed(why);
}

void miss(Guard& guard, const OpSet& set, Miss why) {
  for (std::uint32_t i = 0; i < set.count; ++i) miss(guard, *set.members()[i].client, why);
}

/// A call whose caller jumped to it was "called" by whoever called that.
std::uint64_t caller_of(const CallFrame* frame) {
  constexpr int kMostLooks = 64;
  for (int i = 0; i < kMostLooks && is_in_trampoline(frame->return_address); ++i) {
    frame = reinterpret_cast<const CallFrame*>(frame->saved);
  }
  return frame->return_address;
}

}  // namespace

bool is_in_trampoline(std::uint64_t address) {
  const CodeRange& range = code().calling_around;
  return address >= reinterpret_cast<std::uint64_t>(range.begin) &&
         address < reinterpret_cast<std::uint64_t>(range.end);
}

namespace {

/// The call's frame is the thread's newest, unless the handler has called hooked functions.
const CallFrame& frame_of(const ct_regs& regs) {
  constexpr int kMostNested = 1024;  // links are hints: they may lead astray
  const CallFrame* frame = ct_thread.top;
  for (int i = 0; i < kMostNested && frame->sp != regs.sp() + kReturnSlotBytes && frame->parent != nullptr;
       ++i) {
    frame = frame->parent;
  }
  return *frame;
}

}  // namespace

std::uint64_t ip_of(const ct_regs& regs) {
  if ((regs.flags & CT_REGS_UNWOUND) != 0) return regs.unwound_ip;
  return (regs.flags & CT_REGS_EXIT) != 0 ? frame_of(regs).ip : regs.record->entry;
}

std::uint64_t parent_of(const ct_regs& regs) {
  if ((regs.flags & CT_REGS_HAS_PARENT) != 0) return regs.parent;
  if ((regs.flags & CT_REGS_HAS_FRAME) != 0) return caller_of(&frame_of(regs));
  return regs.return_address();
}

void begin_exit(CallFrame& frame) {
  if (frame.client != &list_client) frame.client = nullptr;
}

void run_unwound_exits(CallFrame& frame) {
  if (frame.client == nullptr || frame.ip == 0)
    return;  // its entry handler has not run, or its exit handler has
  auto* client = const_cast<Client*>(frame.client);
  begin_exit(frame);
  Guard* guard = ct_thread.guard;
  if (guard->word == Guard::kNoThread) guard = take_guard(ct_thread);
  if (guard != nullptr) {
    ct_regs regs = {};
    regs.flags = CT_REGS_EXIT | CT_REGS_UNWOUND | CT_REGS_HAS_PARENT;
    regs.unwound_ip = frame.ip;
    regs.parent = caller_of(&frame);
    regs.unwound_sp = frame.sp - kReturnSlotBytes;
    enter_guard(*guard, regs);
    if (client->generation == frame.generation) {
      code().call_exit_handler(regs.unwound_ip, regs.parent, client, &regs, frame.data);
    }
    guard->set(regs.saved_word);
  }
  frame.client = nullptr;
}

}  // namespace calltap::trampoline

extern "C" {

// All of these are called by the trampolines of handlers.inc, with all registers of the program saved or
// general registers only.

/// Step 1 when the guard is not free: a thread's first handler, or one inside another. Not 0: go on, under
/// the guard. 0: the call runs unhooked, and is counted as missed.
int ct_entry_slow(ct_regs* regs) {
  isa::expect_stack();
  ThreadState& thread = ct_thread;
  Guard* guard = thread.guard;
  if (guard->word == Guard::kNoThread) {
    guard = take_guard(thread);
    if (guard == nullptr) return 0;
  }
  const auto sp = reinterpret_cast<std::uint64_t>(regs);
  if (guard->word != 0) leave_abandoned(thread, *guard, sp);
  if (guard->word != 0 && !is_in_signal_handler(sp, guard->sp())) {
    // The outer handler keeps the set alive.
    miss(*guard, *regs->record->set, Miss::kInHandler);
    return 0;
  }
  regs->flags = 0;
  regs->width = 0;
  enter_guard(*guard, *regs);
  return 1;
}

/// Step 7 likewise: the entry was seen, so the exit is too.
void ct_exit_enter_slow(ct_regs* regs) {
  isa::expect_stack();
  ThreadState& thread = ct_thread;
  Guard* guard = thread.guard->word == Guard::kNoThread ? take_guard(thread) : thread.guard;
  static constinit Guard nobody = {};
  regs->flags = CT_REGS_EXIT | CT_REGS_HAS_FRAME;
  regs->width = 0;
  enter_guard(guard == nullptr ? nobody : *guard, *regs);
}

/// The address that a call which was jumped to returns to.
std::uint64_t ct_parent_slow(const CallFrame* frame) { return caller_of(frame); }

/// The same at the entry, where the chain of frames is kept short: 0 if this call had better run unhooked.
std::uint64_t ct_tail_call(const CallFrame* caller, ct_regs* regs) {
  constexpr std::uint32_t kLongestChain = 1024;
  const std::uint32_t depth = (caller->flags & CallFrame::kTail) != 0 ? caller->slot + 1 : 1;
  const bool needs_frame = regs->set->handler == code().probe || regs->set->handler == code().probe_vectors;
  if (depth > kLongestChain && needs_frame) {
    miss(*ct_thread.guard, *regs->set, Miss::kInHandler);
    return 0;
  }
  regs->target = depth;
  regs->parent = caller_of(caller);
  regs->flags |= CT_REGS_HAS_PARENT;
  return regs->parent;
}

/// Step 3 when the free list's first frame cannot be had.
CallFrame* ct_no_frame(CallFrame* failed, ct_regs* regs) {
  isa::expect_stack();
  const isa::SignalsBlocked blocked;
  CallFrame* frame = get_frame(ct_thread, failed);
  if (frame == nullptr) miss(*ct_thread.guard, *regs->set, Miss::kNoFrame);
  return frame;
}

/// One more frame for a client of a list.
CallFrame* ct_block_slow(CallFrame* failed, const Client* client) {
  isa::expect_stack();
  const isa::SignalsBlocked blocked;
  CallFrame* block = get_frame(ct_thread, failed);
  if (block == nullptr) miss(*ct_thread.guard, *client, Miss::kNoFrame);
  return block;
}
}
