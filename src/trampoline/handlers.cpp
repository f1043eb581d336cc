#include "trampoline/handlers.h"

#include <atomic>

#include "isa/system.h"
#include "trampoline/code.h"
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
  if (thread.guard->epoch != Guard::kNoThread) return thread.guard;  // a signal handler was faster
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
  regs.saved_sp = guard.sp;
  regs.saved_epoch = guard.epoch;
  if (guard.epoch == 0) guard.epoch = ct_epoch.load(std::memory_order_relaxed);
  guard.sp = reinterpret_cast<std::uint64_t>(&regs);
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

std::uint64_t next_epoch() { return ct_epoch.fetch_add(1, std::memory_order_seq_cst) + 1; }

Guard* first_guard() { return guards.load(std::memory_order_acquire); }

bool in_handler() {
  const std::uint64_t epoch = ct_thread.guard->epoch;
  return epoch != 0 && epoch != Guard::kNoThread;
}

void fix_guards_after_fork() {
  // Each step under the lock leaves the list whole, so it does not matter where its holder was.
  guard_lock.store(0, std::memory_order_relaxed);
  Guard& guard = *ct_thread.guard;
  if (guard.epoch != Guard::kNoThread) guard.tid = static_cast<std::uint32_t>(isa::current_tid());
}

void release_guard(ThreadState& thread) {
  Guard* guard = thread.guard;
  if (guard->epoch == Guard::kNoThread) return;
  static constinit Guard ended = {.epoch = Guard::kNoThread};
  thread.guard = &ended;
  guard->epoch = 0;
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

void begin_exit(CallFrame& frame) {
  if (frame.client != &list_client) frame.client = nullptr;
}

void run_unwound_exits(CallFrame& frame) {
  if (frame.client == nullptr) return;
  auto* client = const_cast<Client*>(frame.client);
  begin_exit(frame);
  Guard* guard = ct_thread.guard;
  if (guard->epoch == Guard::kNoThread) guard = take_guard(ct_thread);
  if (guard != nullptr) {
    ct_regs regs = {};
    regs.flags = CT_REGS_EXIT | CT_REGS_UNWOUND;
    regs.exit_ip = frame.ip;
    regs.parent = caller_of(&frame);
    regs.unwound_sp = frame.sp - 8;
    enter(*guard, regs);
    if (client->generation == frame.generation) {
      code().call_exit_handler(regs.exit_ip, regs.parent, client, &regs, frame.data);
    }
    guard->sp = regs.saved_sp;
    guard->epoch = regs.saved_epoch;
  }
  frame.client = nullptr;
}

void detect_vectors() {
  constexpr std::uint32_t kOsxsave = 1U << 27;
  constexpr std::uint32_t kXgetbv1 = 1U << 2;
  constexpr std::uint32_t kHasXgetbv1 = 0x100;
  std::uint32_t a = 1;
  std::uint32_t b = 0;
  std::uint32_t c = 0;
  std::uint32_t d = 0;
  __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
  if ((c & kOsxsave) == 0) {
    code().imports->vector_features = 1;
    return;
  }
  std::uint32_t enabled = 0;
  __asm__("xgetbv" : "=a"(enabled), "=d"(d) : "c"(0));
  a = 0xd;
  c = 1;
  __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
  code().imports->vector_features = (enabled & 0xff) | ((a & kXgetbv1) != 0 ? kHasXgetbv1 : 0);
}

namespace {

/// Exit handlers run in the reverse order of the entry handlers: the newest block is the first of the chain.
void run_list_exits(std::uint64_t ip, std::uint64_t parent_ip, Client* /*list*/, ct_regs* regs, void* data) {
  auto* frame = reinterpret_cast<CallFrame*>(static_cast<char*>(data) - CT_FRAME_DATA);
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
int run_list_entries(std::uint64_t ip, std::uint64_t parent_ip, Client* /*list*/, ct_regs* regs, void* data) {
  const OpSet& set = *regs->set;
  const Guard& guard = *ct_thread.guard;
  auto* frame =
      data == nullptr ? nullptr : reinterpret_cast<CallFrame*>(static_cast<char*>(data) - CT_FRAME_DATA);
  for (std::uint32_t i = 0; i < set.count; ++i) {
    Client* client = set.members()[i].client;
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
    block->generation = set.members()[i].generation;
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
  if (guard->epoch == Guard::kNoThread) {
    guard = take_guard(thread);
    if (guard == nullptr) return 0;
  }
  if (guard->epoch != 0 && !is_in_signal_handler(reinterpret_cast<std::uint64_t>(regs), guard->sp)) {
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
  Guard* guard = thread.guard->epoch == Guard::kNoThread ? take_guard(thread) : thread.guard;
  static constinit Guard nobody = {};
  regs->flags = CT_REGS_EXIT;
  regs->width = 0;
  enter(guard == nullptr ? nobody : *guard, *regs);
}

/// The address that a call which was jumped to returns to.
std::uint64_t ct_parent_slow(const CallFrame* frame) { return caller_of(frame); }

/// The same at the entry, where the chain of frames is kept short: 0 if this call had better run unhooked.
std::uint64_t ct_tail_call(const CallFrame* caller, ct_regs* regs) {
  constexpr std::uint32_t kLongestChain = 1024;
  const std::uint32_t depth = (caller->flags & CallFrame::kProbe) != 0 ? caller->slot + 1 : 1;
  const bool needs_frame = regs->set->handler == code().probe || regs->set->handler == code().probe_vectors;
  if (depth > kLongestChain && needs_frame) {
    count_missed(*ct_thread.guard, *regs->set);
    return 0;
  }
  regs->target = depth;
  return caller_of(caller);
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
