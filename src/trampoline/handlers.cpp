#include "trampoline/handlers.h"

#include <atomic>

#include "isa/system.h"
#include "trampoline/code.h"
#include "trampoline/own_stack.h"
#include "trampoline/x86_64/signal_frame.h"

using namespace calltap;
using namespace calltap::trampoline;

extern "C" {
/// Number of the newest epoch; 0 is not one.
std::atomic<std::uint64_t> ct_epoch{1};
}

namespace calltap::trampoline {
namespace {

std::atomic<Guard*> guards{nullptr};
std::atomic<std::uint32_t> guard_lock{0};

/// For a few instructions, with signals blocked.
class GuardLock {
 public:
  GuardLock() {
    while (guard_lock.exchange(1, std::memory_order_acquire) != 0) isa::native::system_call(SYS_sched_yield);
  }
  ~GuardLock() { guard_lock.store(0, std::memory_order_release); }
  GuardLock(const GuardLock&) = delete;
  GuardLock& operator=(const GuardLock&) = delete;
};

Guard* make_guard() {
  constexpr std::size_t kCountersBytes = kMaxClients * sizeof(Counters);
  void* memory = isa::map_memory(4096 + kCountersBytes, MAP_NORESERVE);
  if (memory == nullptr) return nullptr;
  auto* guard = static_cast<Guard*>(memory);
  guard->counters = reinterpret_cast<Counters*>(static_cast<char*>(memory) + 4096);
  guard->next = guards.load(std::memory_order_relaxed);
  guards.store(guard, std::memory_order_release);
  return guard;
}

/// The calling thread's guard, at its first handler. Null when memory is exhausted.
Guard* take_guard(ThreadState& thread) {
  const isa::SignalsBlocked blocked;
  if (thread.guard->word != Guard::kNoThread) return thread.guard;  // a signal handler was faster
  start_thread(thread);
  const auto tid = static_cast<std::uint32_t>(isa::current_tid());
  const GuardLock lock;
  Guard* guard = guards.load(std::memory_order_relaxed);
  while (guard != nullptr && guard->tid != 0) guard = guard->next;
  if (guard == nullptr) guard = make_guard();
  if (guard == nullptr) return nullptr;
  guard->tid = tid;
  thread.guard = guard;
  return guard;
}

void enter(Guard& guard, ct_regs& regs) {
  regs.flags |= CT_REGS_NESTED;
  regs.guard = &guard;
  regs.saved_word = guard.word;
  const std::uint64_t epoch = guard.word == 0
                                  ? ct_epoch.load(std::memory_order_relaxed) << CT_GUARD_EPOCH_SHIFT
                                  : guard.word & ~Guard::kSpMask;
  __atomic_store_n(&guard.word, epoch | reinterpret_cast<std::uint64_t>(&regs), __ATOMIC_RELEASE);
}

void count_missed(Guard& guard, const Client& client) {
  __asm__("incq %0" : "+m"(guard.counters[client.index].missed));
}

void count_missed(Guard& guard, const OpSet& set) {
  for (std::uint32_t i = 0; i < set.count; ++i) count_missed(guard, *set.members()[i].client);
}

/// A call whose caller jumped to it was "called" by whoever called that.
std::uint64_t caller_of(const CallFrame* frame) {
  constexpr int kMostLooks = 64;
  for (int i = 0; i < kMostLooks && is_in_trampoline(frame->return_address); ++i) {
    frame = reinterpret_cast<const CallFrame*>(frame->saved);
  }
  return frame->return_address;
}

/// One more claimed frame of which only the part for an exit handler is used.
CallFrame* claim_block(ThreadState& thread) {
  CallFrame* block = thread.free;
  bool claimed = false;
  __asm__("incl %0" : "+m"(block->owner), "=@ccz"(claimed));
  if (!claimed) return ct_frame_slow(block);
  thread.free = block->next;
  return block;
}

/// The same steps as FREE_FRAME's, for which signals need not be blocked; `block` is in no chain any more.
void release_block(ThreadState& thread, CallFrame& block) {
  block.blocks = nullptr;
  block.client = nullptr;
  __atomic_store_n(&block.owner, CallFrame::kFree, __ATOMIC_RELEASE);
  if (block.home != thread.home) return;
  block.next = thread.free;
  __atomic_store_n(&thread.free, &block, __ATOMIC_RELEASE);
}

}  // namespace

namespace {

const Code* copy_in_use = &ct_code;

}  // namespace

const Code& code() {
  // Nobody can hook anything without having been here.
  std::uint64_t& thread = ct_code.imports->thread;
  if (thread == 0) {
    const std::uint64_t offset = reinterpret_cast<std::uint64_t>(&ct_thread) - isa::native::thread_pointer();
    __atomic_store_n(&thread, offset, __ATOMIC_RELAXED);
  }
  return *copy_in_use;
}

bool use_code(const Code& copy) {
  if (__builtin_memcmp(copy.identity, ct_code.identity, sizeof copy.identity) != 0) return false;
  *copy.imports = *code().imports;
  *copy.personality = *copy_in_use->personality;
  copy_in_use = &copy;
  return true;
}

bool is_in_trampoline(std::uint64_t address) {
  const CodeRange& range = code().calling_around;
  return address >= reinterpret_cast<std::uint64_t>(range.begin) &&
         address < reinterpret_cast<std::uint64_t>(range.end);
}

std::uint64_t current_epoch() { return ct_epoch.load(std::memory_order_seq_cst); }

std::uint64_t epoch_of(const Guard& guard) {
  const std::uint64_t word = __atomic_load_n(&guard.word, __ATOMIC_ACQUIRE);
  if (word == 0 || word == Guard::kNoThread) return 0;
  // The guard's epoch is not later than what this reads, and start_epoch() sees to it that it is not long
  // ago.
  const std::uint64_t now = current_epoch();
  return now - ((now - (word >> CT_GUARD_EPOCH_SHIFT)) & 0xffff);
}

std::uint64_t start_epoch() {
  constexpr std::uint64_t kOldest = 0x8000;
  for (const Guard* guard = first_guard(); guard != nullptr; guard = guard->next) {
    const std::uint64_t entered = epoch_of(*guard);
    if (entered != 0 && current_epoch() - entered >= kOldest) return 0;
  }
  return ct_epoch.fetch_add(1, std::memory_order_seq_cst) + 1;
}

Guard* first_guard() { return guards.load(std::memory_order_acquire); }

namespace {

/// A handler that was left by longjmp, which only a signal handler on top of it can do, has not left its
/// guard. Calls of the thread that come from where it stood, or from nearer to the stack's beginning, prove
/// it.
void leave_abandoned(ThreadState& thread, Guard& guard, std::uint64_t sp) {
  if (sp >= guard.sp() && on_own_stack(thread, sp, guard.sp())) guard.word = 0;
}

}  // namespace

bool in_handler(std::uint64_t sp) {
  Guard& guard = *ct_thread.guard;
  if (!guard.is_entered()) return false;
  leave_abandoned(ct_thread, guard, sp);
  return guard.word != 0;
}

void fix_guards_after_fork() {
  // Each step under the lock leaves the list whole, so it does not matter where its holder was.
  guard_lock.store(0, std::memory_order_relaxed);
  Guard& guard = *ct_thread.guard;
  if (guard.word != Guard::kNoThread) guard.tid = static_cast<std::uint32_t>(isa::current_tid());
}

void release_guard(ThreadState& thread) {
  Guard* guard = thread.guard;
  if (guard->word == Guard::kNoThread) return;
  static constinit Guard ended = {.word = Guard::kNoThread};
  thread.guard = &ended;
  guard->word = 0;
  const GuardLock lock;
  guard->tid = 0;
}

Counters sum_counters(const Client& client) {
  Counters sum = {};
  for (const Guard* g = first_guard(); g != nullptr; g = g->next) {
    sum.hits += __atomic_load_n(&g->counters[client.index].hits, __ATOMIC_RELAXED);
    sum.missed += __atomic_load_n(&g->counters[client.index].missed, __ATOMIC_RELAXED);
  }
  return sum;
}

namespace {

/// The call's frame is the thread's newest, unless the handler has called hooked functions.
const CallFrame& frame_of(const ct_regs& regs) {
  const CallFrame* frame = ct_thread.top;
  while (frame->sp != regs.sp() + 8 && frame->parent != nullptr) frame = frame->parent;
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
  return *reinterpret_cast<const std::uint64_t*>(regs.sp());
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
    regs.unwound_sp = frame.sp - 8;
    enter(*guard, regs);
    if (client->generation == frame.generation) {
      code().call_exit_handler(regs.unwound_ip, regs.parent, client, &regs, frame.data);
    }
    guard->word = regs.saved_word;
  }
  frame.client = nullptr;
}

namespace {

struct CpuId {
  std::uint32_t a, b, c, d;
};

CpuId cpuid(std::uint32_t leaf, std::uint32_t part = 0) {
  CpuId r = {leaf, 0, part, 0};
  __asm__("cpuid" : "+a"(r.a), "=b"(r.b), "+c"(r.c), "=d"(r.d));
  return r;
}

}  // namespace

void detect_vectors() {
  // The low byte as XCR0 has it; the rest is for vectors.S.
  constexpr std::uint32_t kYmm = 4;
  constexpr std::uint32_t kAskXgetbv1 = 0x100;
  constexpr std::uint32_t kLookAtContents = 0x200;
  std::uint32_t& features = code().imports->vector_features;
  constexpr std::uint32_t kOsxsave = 1U << 27;
  if ((cpuid(1).c & kOsxsave) == 0) {
    features = 1;
    return;
  }
  std::uint32_t enabled = 0;
  std::uint32_t upper = 0;
  __asm__("xgetbv" : "=a"(enabled), "=d"(upper) : "c"(0));
  features = enabled & 0xff;
  constexpr std::uint32_t kXgetbv1 = 1U << 2;
  const bool has_xgetbv1 = (cpuid(0xd, 1).a & kXgetbv1) != 0;
  const bool is_slow = cpuid(0).c == 0x444d4163;  // "AuthenticAMD" ends so
  if (has_xgetbv1 && !is_slow) {
    features |= kAskXgetbv1;
  } else if ((enabled & kYmm) != 0) {
    features |= kLookAtContents;
  }
}

namespace {

/// Exit handlers run in the reverse order of the entry handlers: the newest block is the first of the chain.
void run_list_exits(std::uint64_t ip, std::uint64_t parent_ip, Client* /*list*/, ct_regs* regs, void* data) {
  auto* frame = reinterpret_cast<CallFrame*>(static_cast<char*>(data) - CT_FRAME_DATA);
  frame->client = &list_client;  // if one leaves, the others still have their turn
  for (CallFrame* block = frame->blocks; block != nullptr; block = block->blocks) {
    auto* client = const_cast<Client*>(block->client);
    block->client = nullptr;  // it does not run again, also if it ends the thread
    if (client == nullptr || client->generation != block->generation) continue;
    code().call_handler(ip, parent_ip, client, regs, block->data,
                        reinterpret_cast<const void*>(client->exit));
  }
}

/// Entry handlers in the order of registration. Each that wants its exit gets a block of its own, in front of
/// the chain.
int run_list_entries(std::uint64_t ip, std::uint64_t parent_ip, Client* /*list*/, ct_regs* regs, void* data,
                     const OpSet* set) {
  const Guard& guard = *ct_thread.guard;
  auto* frame =
      data == nullptr ? nullptr : reinterpret_cast<CallFrame*>(static_cast<char*>(data) - CT_FRAME_DATA);
  for (std::uint32_t i = 0; i < set->count; ++i) {
    Client* client = set->members()[i].client;
    CallFrame* block = nullptr;
    if (client->wants_exit) {
      block = claim_block(ct_thread);
      if (block == nullptr) {
        count_missed(*ct_thread.guard, *client);
        continue;
      }
      for (std::uint64_t& word : block->data) word = 0;
    }
    __asm__("incq %0" : "+m"(guard.counters[client->index].hits));
    const bool cancelled =
        client->entry != nullptr &&
        code().call_handler(ip, parent_ip, client, regs, block == nullptr ? nullptr : block->data,
                            reinterpret_cast<const void*>(client->entry)) != 0;
    if (block == nullptr) continue;
    if (cancelled) {
      release_block(ct_thread, *block);
      continue;
    }
    block->client = client;
    block->generation = set->members()[i].generation;
    block->blocks = frame->blocks;
    frame->blocks = block;
  }
  return frame == nullptr || frame->blocks == nullptr ? 1 : 0;
}

}  // namespace

Client list_client = {.generation = 0,
                      .exit = run_list_exits,
                      .entry = run_list_entries,
                      .index = kListIndex,
                      .user = nullptr,
                      .flags = 0,
                      .data_bytes = 0,
                      .wants_exit = false};

}  // namespace calltap::trampoline

extern "C" {

// All of these are called by handlers.S, with all registers of the program saved or general registers only.

/// Step 1 when the guard is not free: a thread's first handler, or one inside another. Not 0: go on, under
/// the guard. 0: the call runs unhooked, and is counted as missed.
int ct_entry_slow(ct_regs* regs) {
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
    count_missed(*guard, *regs->record->set);
    return 0;
  }
  regs->flags = 0;
  regs->width = 0;
  enter(*guard, *regs);
  return 1;
}

/// Step 7 likewise: the entry was seen, so the exit is too.
void ct_exit_enter_slow(ct_regs* regs) {
  ThreadState& thread = ct_thread;
  Guard* guard = thread.guard->word == Guard::kNoThread ? take_guard(thread) : thread.guard;
  static constinit Guard nobody = {};
  regs->flags = CT_REGS_EXIT | CT_REGS_HAS_FRAME;
  regs->width = 0;
  enter(guard == nullptr ? nobody : *guard, *regs);
}

/// The address that a call which was jumped to returns to.
std::uint64_t ct_parent_slow(const CallFrame* frame) { return caller_of(frame); }

/// The same at the entry, where the chain of frames is kept short: 0 if this call had better run unhooked.
std::uint64_t ct_tail_call(const CallFrame* caller, ct_regs* regs) {
  constexpr std::uint32_t kLongestChain = 1024;
  const std::uint32_t depth = (caller->flags & CallFrame::kTail) != 0 ? caller->slot + 1 : 1;
  const bool needs_frame = regs->set->handler == code().probe || regs->set->handler == code().probe_vectors;
  if (depth > kLongestChain && needs_frame) {
    count_missed(*ct_thread.guard, *regs->set);
    return 0;
  }
  regs->target = depth;
  regs->parent = caller_of(caller);
  regs->flags |= CT_REGS_HAS_PARENT;
  return regs->parent;
}

/// Step 3 when the free list's first frame cannot be had.
CallFrame* ct_no_frame(CallFrame* failed, ct_regs* regs) {
  CallFrame* frame = ct_frame_slow(failed);
  if (frame == nullptr) count_missed(*ct_thread.guard, *regs->set);
  return frame;
}

void ct_free_blocks(CallFrame* frame) {
  ThreadState& thread = ct_thread;
  while (CallFrame* block = frame->blocks) {
    // A signal handler in between sees the block either in the chain or claimed.
    __atomic_store_n(&frame->blocks, block->blocks, __ATOMIC_RELEASE);
    release_block(thread, *block);
  }
}
}
