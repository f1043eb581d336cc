#include "trampoline/frames.h"

#include <signal.h>

#include <atomic>

#include "isa/system.h"
#include "trampoline/code.h"
#include "trampoline/handlers.h"
#include "trampoline/own_stack.h"
#include "trampoline/return_slot.h"

namespace calltap::trampoline {

/// Frames in one piece of memory, at a multiple of a page. The header takes the place of the first frame.
struct FrameChunk {
  std::atomic<FrameChunk*> next;
  std::uint32_t count;      // frames after the header; 0 in fresh memory
  FrameChunk* next_of_all;  // chunks are never unmapped

  CallFrame* frames() { return reinterpret_cast<CallFrame*>(this) + 1; }
};

namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint32_t kFirstChunk = kPage / sizeof(CallFrame) - 1;
constexpr std::uint32_t kLargestChunk = 65535;
constexpr std::uint64_t kMaxFramesPerThread = std::uint64_t{1} << 24;

// Claiming these always fails or never matters: they are what the hints of a fresh thread point to.
constexpr std::int32_t kAlwaysClaimed = 1 << 30;
constexpr CallFrame always_claimed() {
  CallFrame frame;
  frame.owner = kAlwaysClaimed;
  return frame;
}
constinit CallFrame busy_frame = always_claimed();
constinit CallFrame bottom_frame = always_claimed();
Writer no_writer = {};
Guard no_guard = {.word = Guard::kNoThread};

std::atomic<std::uint32_t> last_serial{0};

/// Chunks of ended threads: a stack without a lock, which a fork could leave locked in the child. Above the
/// newest chunk's page number the head counts changes, so that a chunk that was taken and put back meanwhile
/// is not mistaken for an unchanged stack. Chunks are never unmapped, so reading a stale one is harmless.
class ChunkStack {
 public:
  void push(FrameChunk* chunk) {
    std::uint64_t head = head_.load(std::memory_order_relaxed);
    do {
      chunk->next.store(chunk_of(head), std::memory_order_relaxed);
    } while (!head_.compare_exchange_weak(head, changed(head, chunk), std::memory_order_release,
                                          std::memory_order_relaxed));
  }
  /// Null if there is none.
  FrameChunk* pop() {
    std::uint64_t head = head_.load(std::memory_order_acquire);
    for (;;) {
      FrameChunk* chunk = chunk_of(head);
      if (chunk == nullptr) return nullptr;
      FrameChunk* next = chunk->next.load(std::memory_order_relaxed);
      if (head_.compare_exchange_weak(head, changed(head, next), std::memory_order_acquire)) return chunk;
    }
  }

 private:
  static constexpr unsigned kPageNumberBits = 36;  // of addresses below 2^48
  static constexpr std::uint64_t kPageNumberMask = (std::uint64_t{1} << kPageNumberBits) - 1;

  static FrameChunk* chunk_of(std::uint64_t head) {
    return reinterpret_cast<FrameChunk*>((head & kPageNumberMask) * kPage);
  }
  static std::uint64_t changed(std::uint64_t head, const FrameChunk* newest) {
    const std::uint64_t changes = (head >> kPageNumberBits) + 1;
    return changes << kPageNumberBits | reinterpret_cast<std::uint64_t>(newest) / kPage;
  }

  std::atomic<std::uint64_t> head_{0};
};
constinit ChunkStack first_chunks;   // of kFirstChunk frames, what a thread begins with
constinit ChunkStack larger_chunks;  // for threads that need more

// Memory for the first chunks of threads, so that a thread's first hooked call need not map any: that would
// wait for whoever is changing the address space or writing code through it, a patcher for instance.
constexpr std::uint32_t kReadyChunks = 256;
alignas(kPage) std::uint8_t ready_chunks[kReadyChunks][kPage];
std::atomic<std::uint32_t> ready_chunks_used{0};

std::atomic<FrameChunk*> all_chunks{nullptr};

constexpr std::uint64_t kEntryId = 1;
constexpr std::uint64_t kExitId = 2;
constexpr std::uint64_t kUnwoundId = 3;
constexpr int kMostNested = 1024;  // newest frames that are looked at for an interrupted event

/// How far a call's events have got. A signal may have come just before or just after an event was written,
/// and its handler left by longjmp: then the frame says what was to be written where, and the buffer whether
/// it was.
enum class EventState { kNotEntered, kInside, kLeft };

EventState event_state(const CallFrame& frame) {
  if (frame.event == 0) return EventState::kNotEntered;
  if ((frame.flags & CallFrame::kReported) != 0) return EventState::kLeft;
  const std::uint64_t id = frame.event & 31;
  if ((frame.flags & CallFrame::kEntering) != 0) {
    // An exit is what the frame's previous call left behind.
    const bool entered = id == kEntryId && ct_event_is_written(frame.slot, frame.event);
    return entered ? EventState::kInside : EventState::kNotEntered;
  }
  const bool left = id == kExitId && ct_event_is_written(frame.slot, frame.event);
  return left ? EventState::kLeft : EventState::kInside;
}

/// Looks in the buffer now whether an event that was interrupted is there. Harmless if the call goes on.
void settle_event(CallFrame& frame) {
  constexpr std::uint32_t kInterrupted = CallFrame::kEntering | CallFrame::kWriting;
  if ((frame.flags & kInterrupted) == 0 || (frame.flags & CallFrame::kProbe) != 0) return;
  const EventState state = event_state(frame);
  if (state == EventState::kLeft) frame.flags |= CallFrame::kReported;
  if (state == EventState::kInside) frame.flags &= ~CallFrame::kEntering;
}

/// Age of the youngest frame on each stack slot that was called there rather than tail-called: it proves all
/// older ones on that slot dead. An open-addressing table in scratch memory.
class YoungestBySlot {
 public:
  explicit YoungestBySlot(std::uint64_t frames) {
    while (size_ < frames * 2) size_ *= 2;
    entries_ = static_cast<Entry*>(isa::map_memory(size_ * sizeof(Entry)));
  }
  ~YoungestBySlot() {
    if (entries_ != nullptr) isa::unmap_memory(entries_, size_ * sizeof(Entry));
  }
  YoungestBySlot(const YoungestBySlot&) = delete;
  YoungestBySlot& operator=(const YoungestBySlot&) = delete;

  void add(const CallFrame& frame) {
    if (entries_ == nullptr || is_in_trampoline(frame.return_address)) return;
    if ((frame.flags & CallFrame::kEntering) != 0) return;  // has no age yet
    Entry& entry = find(frame.sp);
    entry.sp = frame.sp;
    if (entry.age < frame.age) entry.age = frame.age;
  }
  /// Without memory for the table nothing is proven.
  [[nodiscard]] bool supersedes(const CallFrame& frame) const {
    return entries_ != nullptr && (frame.flags & CallFrame::kEntering) == 0 && find(frame.sp).age > frame.age;
  }

 private:
  struct Entry {
    std::uint64_t sp;
    std::uint64_t age;
  };

  [[nodiscard]] Entry& find(std::uint64_t sp) const {
    std::uint64_t at = (sp >> 3) * 0x9e3779b97f4a7c15 >> 32 & (size_ - 1);
    while (entries_[at].sp != 0 && entries_[at].sp != sp) at = (at + 1) & (size_ - 1);
    return entries_[at];
  }

  std::uint64_t size_ = 64;
  Entry* entries_ = nullptr;
};

/// With all that was done to it before, for another thread may have let it go.
bool is_free(const CallFrame& frame) { return __atomic_load_n(&frame.owner, __ATOMIC_ACQUIRE) < 0; }

bool is_settled(const ThreadState& thread, const CallFrame& frame) {
  return !is_free(frame) && frame.home == thread.home && frame.sp != CallFrame::kNoStack &&
         &frame != thread.unwound;
}

template <class Visit>
void for_each_frame(ThreadState& thread, Visit visit) {
  for (FrameChunk* chunk = thread.chunks; chunk != nullptr;
       chunk = chunk->next.load(std::memory_order_relaxed)) {
    for (std::uint32_t i = 0; i < chunk->count; ++i) visit(chunk->frames()[i]);
  }
}

void settle_all_events(ThreadState& thread) {
  for_each_frame(thread, [&](CallFrame& frame) {
    if (is_settled(thread, frame)) settle_event(frame);
  });
}

/// For the frames from `newest` to `stop`. A frame on the way that was freed is passed by.
void settle_chain(ThreadState& thread, CallFrame* newest, const CallFrame* stop, int most) {
  CallFrame* frame = newest;
  for (int i = 0; i < most && frame != stop && frame != nullptr; ++i, frame = frame->parent) {
    if (is_settled(thread, *frame)) settle_event(*frame);
  }
}

/// Rebuilds the free list from the thread's chunks; frees what is dead on the way. Returns the number of free
/// frames. At most one frame a stack slot survives that is not alive, so the memory that longjmps cost is
/// bounded by the stack.
std::uint64_t sweep(ThreadState& thread) {
  settle_all_events(thread);  // before the first report, which may give the packet away
  YoungestBySlot youngest(frame_capacity(thread));
  for_each_frame(thread, [&](const CallFrame& frame) {
    if (is_settled(thread, frame)) youngest.add(frame);
  });
  std::uint64_t free_frames = 0;
  thread.free = &busy_frame;
  for_each_frame(thread, [&](CallFrame& frame) {
    if (!is_free(frame)) {
      if (!is_settled(thread, frame)) return;
      if (may_return(thread, frame) && !youngest.supersedes(frame)) return;
      report_unwound(frame);
    }
    put_free(thread, frame);
    ++free_frames;
  });
  if (is_settled(thread, *thread.top)) return free_frames;
  // The newest call was a dead one: the next may have been cut off with it.
  thread.top = &bottom_frame;
  std::uint64_t age = 0;
  for_each_frame(thread, [&](CallFrame& frame) {
    if (!is_settled(thread, frame) || frame.age < age) return;
    thread.top = &frame;
    age = frame.age;
  });
  return free_frames;
}

void add_chunk(ThreadState& thread, FrameChunk* chunk) {
  chunk->next.store(thread.chunks, std::memory_order_relaxed);
  thread.chunks = chunk;
}

/// Puts the free frames of a chunk on the thread's list: all if it is fresh; if it was another thread's, some
/// may be in flight on coroutines' stacks.
void put_frames_of(ThreadState& thread, FrameChunk* chunk, bool is_fresh) {
  for (std::uint32_t i = chunk->count; i-- > 0;) {
    CallFrame& frame = chunk->frames()[i];
    if (is_fresh || is_free(frame)) put_free(thread, frame);
  }
}

FrameChunk* ready_chunk() {
  // Looked at first, so that the counter stays in its range.
  if (ready_chunks_used.load(std::memory_order_relaxed) >= kReadyChunks) return nullptr;
  const std::uint32_t index = ready_chunks_used.fetch_add(1, std::memory_order_relaxed);
  return index < kReadyChunks ? reinterpret_cast<FrameChunk*>(ready_chunks[index]) : nullptr;
}

bool add_fresh_chunk(ThreadState& thread, FrameChunk* chunk, std::uint32_t count) {
  if (chunk == nullptr) chunk = static_cast<FrameChunk*>(isa::map_memory((count + 1ul) * sizeof(CallFrame)));
  if (chunk == nullptr) return false;
  chunk->count = count;
  add_chunk(thread, chunk);
  put_frames_of(thread, chunk, true);
  chunk->next_of_all = all_chunks.load(std::memory_order_relaxed);
  while (!all_chunks.compare_exchange_weak(chunk->next_of_all, chunk, std::memory_order_release)) {
  }
  return true;
}

/// The thread's first hooked call. False if there is no memory.
bool add_first_chunk(ThreadState& thread) {
  thread.free = &busy_frame;
  if (FrameChunk* chunk = first_chunks.pop()) {
    add_chunk(thread, chunk);
    put_frames_of(thread, chunk, false);
    if (thread.free != &busy_frame) return true;
  }
  return add_fresh_chunk(thread, ready_chunk(), kFirstChunk);
}

bool add_larger_chunk(ThreadState& thread, std::uint64_t capacity) {
  std::uint32_t count = kFirstChunk;
  while (count < capacity && count < kLargestChunk) count = count * 2 + 1;
  if (capacity + count > kMaxFramesPerThread) return false;
  return add_fresh_chunk(thread, nullptr, count);
}

bool refill(ThreadState& thread) {
  if (thread.chunks == nullptr) return add_first_chunk(thread);
  std::uint64_t capacity = frame_capacity(thread);
  std::uint64_t free_frames = sweep(thread);
  if (free_frames * 4 < capacity) {
    if (FrameChunk* chunk = larger_chunks.pop()) {
      add_chunk(thread, chunk);
      capacity = frame_capacity(thread);
      free_frames = sweep(thread);
    }
  }
  if (free_frames * 4 >= capacity && free_frames != 0) return true;
  return add_larger_chunk(thread, capacity) || free_frames != 0;
}

CallFrame* claim(ThreadState& thread) {
  CallFrame* frame = thread.free;
  if (frame == &busy_frame || !is_free(*frame)) {
    if (!refill(thread)) return nullptr;
    frame = thread.free;
  }
  thread.free = frame->next;
  frame->owner = 0;
  return frame;
}

}  // namespace

namespace {

/// Everything of a call but who owns the frame.
void clear_call(ThreadState& thread, CallFrame& frame) {
  if (frame.blocks != nullptr) free_blocks(thread, frame);
  frame.client = nullptr;
  frame.sp = CallFrame::kNoStack;
  frame.flags = CallFrame::kFreeFlags;
  frame.event = 0;
}

}  // namespace

void start_thread(ThreadState& thread) {
  if (thread.home != 0) return;
  thread.home = last_serial.fetch_add(1, std::memory_order_relaxed) + 1;
  ct_thread_started(&thread);
}

void put_free(ThreadState& thread, CallFrame& frame) {
  clear_call(thread, frame);
  frame.home = thread.home;
  frame.next = thread.free;
  frame.owner = CallFrame::kFree;
  thread.free = &frame;
}

void let_go(ThreadState& thread, CallFrame& frame) {
  if (frame.home == thread.home) return put_free(thread, frame);
  clear_call(thread, frame);
  __atomic_store_n(&frame.owner, CallFrame::kFree, __ATOMIC_RELEASE);
}

void free_blocks(ThreadState& thread, CallFrame& frame) {
  CallFrame* block = frame.blocks;
  frame.blocks = nullptr;
  while (block != nullptr) {
    CallFrame* next = block->blocks;
    block->blocks = nullptr;
    let_go(thread, *block);
    block = next;
  }
}

void report_unwound(CallFrame& frame) {
  if ((frame.flags & CallFrame::kProbe) != 0) return run_unwound_exits(frame);
  const bool inside = event_state(frame) == EventState::kInside;
  // Also where there is nothing to report: the buffer will not tell for ever. kEntering stays: it has no age.
  frame.flags |= CallFrame::kReported;
  if (!inside) return;
  ct_event_write((frame.event & ~std::uint64_t{0xffffffff}) | kUnwoundId);
}

void settle_events(ThreadState& thread) { settle_chain(thread, thread.top, &bottom_frame, kMostNested); }

bool is_writing_in(const ThreadState& thread, const void* begin, std::size_t bytes) {
  const auto low = static_cast<std::uint32_t>(reinterpret_cast<std::uint64_t>(begin));
  // Frames are never unmapped, so a stale one on the way does no harm.
  const CallFrame* frame = thread.top;
  for (int i = 0; i < kMostNested && frame != nullptr && frame != &bottom_frame; ++i, frame = frame->parent) {
    if ((frame->flags & CallFrame::kWriting) != 0 && frame->slot - low < bytes) return true;
  }
  return false;
}

bool anybody_is_writing_in(const void* begin, std::size_t bytes) {
  const auto low = static_cast<std::uint32_t>(reinterpret_cast<std::uint64_t>(begin));
  for (FrameChunk* chunk = all_chunks.load(std::memory_order_acquire); chunk != nullptr;
       chunk = chunk->next_of_all) {
    for (std::uint32_t i = 0; i < chunk->count; ++i) {
      const CallFrame& frame = chunk->frames()[i];
      if (is_free(frame)) continue;
      const std::uint32_t flags = __atomic_load_n(&frame.flags, __ATOMIC_RELAXED);
      if ((flags & CallFrame::kProbe) != 0 || (flags & CallFrame::kWriting) == 0) continue;
      if (__atomic_load_n(&frame.slot, __ATOMIC_RELAXED) - low < bytes) return true;
    }
  }
  return false;
}

void abandon_frames(ThreadState& thread) {
  settle_all_events(thread);
  if (thread.unwound != nullptr) put_free(thread, *thread.unwound);
  thread.unwound = nullptr;
  const auto ends_here = [&](const CallFrame& frame) {
    return is_settled(thread, frame) && on_own_stack(thread, frame.sp, frame.sp);
  };
  for (CallFrame* frame = thread.top; ends_here(*frame); frame = frame->parent) {
    report_unwound(*frame);
    put_free(thread, *frame);
  }
  for_each_frame(thread, [&](CallFrame& frame) {
    if (!ends_here(frame)) return;
    report_unwound(frame);
    put_free(thread, frame);
  });
  thread.top = &bottom_frame;
}

void release_chunks(ThreadState& thread) {
  FrameChunk* chunk = thread.chunks;
  thread.chunks = nullptr;
  thread.free = &busy_frame;
  thread.top = &bottom_frame;
  thread.home = 0;
  thread.stack_low = 0;
  while (chunk != nullptr) {
    FrameChunk* next = chunk->next.load(std::memory_order_relaxed);
    (chunk->count == kFirstChunk ? first_chunks : larger_chunks).push(chunk);
    chunk = next;
  }
}

std::uint64_t frame_capacity(const ThreadState& thread) {
  std::uint64_t capacity = 0;
  for (const FrameChunk* chunk = thread.chunks; chunk != nullptr;
       chunk = chunk->next.load(std::memory_order_relaxed)) {
    capacity += chunk->count;
  }
  return capacity;
}

}  // namespace calltap::trampoline

using namespace calltap;
using namespace calltap::trampoline;

thread_local constinit ThreadState ct_thread = {.guard = &no_guard,
                                                .free = &busy_frame,
                                                .top = &bottom_frame,
                                                .writer = &no_writer,
                                                .home = 0,
                                                .sequence = 0,
                                                .chunks = nullptr,
                                                .unwound = nullptr,
                                                .stack_low = 0,
                                                .stack_high = 0};

namespace calltap::trampoline {

CallFrame* get_frame(ThreadState& thread, CallFrame* failed) {
  if (failed == &busy_frame) {
    // All threads count it up, and lose counts: never as far as to be claimed.
    __atomic_store_n(&failed->owner, kAlwaysClaimed, __ATOMIC_RELAXED);
  } else {
    // One instruction, as everything that touches `owner` of a frame that may be somebody's.
    __atomic_fetch_sub(&failed->owner, 1, __ATOMIC_RELAXED);
  }
  start_thread(thread);
  return claim(thread);
}

}  // namespace calltap::trampoline

CallFrame* ct_frame_slow(CallFrame* failed) {
  isa::expect_stack();
  const isa::SignalsBlocked blocked;
  CallFrame* frame = get_frame(ct_thread, failed);
  if (frame == nullptr) ct_event_missed(Miss::kNoFrame);
  return frame;
}

namespace {

/// True if the address lies on the alternate signal stack, and that is in this state: 0 while no handler runs
/// there, else SS_ONSTACK.
bool on_signal_stack(std::uint64_t address, int state) {
  stack_t stack = {};
  if (isa::is_error(isa::native::system_call(SYS_sigaltstack, 0, reinterpret_cast<long>(&stack))))
    return false;
  const auto low = reinterpret_cast<std::uint64_t>(stack.ss_sp);
  return (stack.ss_flags & (SS_ONSTACK | SS_DISABLE)) == state && address >= low &&
         address <= low + stack.ss_size;
}

/// On the thread's own stack addresses tell what is over, but not seen from a signal stack that is a part of
/// it.
bool tells_by_address(ThreadState& thread, std::uint64_t sp) {
  return on_own_stack(thread, sp, sp) && !on_signal_stack(sp, SS_ONSTACK);
}

/// Reports every call whose frame lies below `sp` on the thread's own stack: all of them were cut off. Those
/// that were made last come first, as far as addresses tell.
void report_below(ThreadState& thread, std::uint64_t sp, const CallFrame* self) {
  for (FrameChunk* chunk = thread.chunks; chunk != nullptr;
       chunk = chunk->next.load(std::memory_order_relaxed)) {
    for (std::uint32_t i = chunk->count; i-- > 0;) {
      CallFrame& frame = chunk->frames()[i];
      if (&frame == self || !is_settled(thread, frame) || frame.sp >= sp) continue;
      if (on_own_stack(thread, frame.sp, frame.sp)) report_unwound(frame);
    }
  }
}

/// Does the chain of frames end here? Its links are hints: that of a dead frame may lead to one that was
/// freed, and is perhaps in use again, also by `self`, the call that asks. A call is younger than the one it
/// was made by; where that is not so the chain ends, and all frames are looked at.
bool ends_chain(const ThreadState& thread, const CallFrame& frame, const CallFrame* self,
                std::uint64_t younger) {
  return &frame == self || &frame == &bottom_frame || !is_settled(thread, frame) || frame.age >= younger;
}

constexpr int kMostForeign = 256;

/// Looks in the buffer for the events of all frames that report_cut_off() may report, before that writes any:
/// a full packet is given away then, and not found again by way of frames that are already freed.
void settle_cut_off(ThreadState& thread, CallFrame* newest, std::uint64_t sp, const CallFrame* self,
                    const CallFrame* stop) {
  std::uint64_t younger = ~std::uint64_t{0};
  CallFrame* frame = newest;
  for (int foreign = 0; frame != stop && foreign <= kMostForeign; frame = frame->parent) {
    if (ends_chain(thread, *frame, self, younger)) return settle_all_events(thread);
    younger = frame->age;
    settle_event(*frame);
    if (!on_own_stack(thread, frame->sp, frame->sp)) {
      ++foreign;
    } else if (frame->sp > sp) {
      return;
    }
  }
}

/// Which frames, from the newest on, were cut off by a longjmp, seen from a call at `sp` on the thread's own
/// stack? There their order tells, and an unwound exit is written at once. That is only for the trace: a
/// frame's memory is kept until the exact rule of frames.h proves it dead, or the call that has just
/// overwritten its slot. A frame on another stack is dead if that is the signal stack and idle; otherwise it
/// is passed over. Returns the first that lives on, or the bottom. The chain should end at `stop`.
CallFrame* report_cut_off(ThreadState& thread, CallFrame* newest, std::uint64_t sp, bool same_slot_is_dead,
                          const CallFrame* self, const CallFrame* stop) {
  settle_cut_off(thread, newest, sp, self, stop);
  CallFrame* frame = newest;
  std::uint64_t younger = ~std::uint64_t{0};
  for (int foreign = 0; frame != stop && foreign <= kMostForeign;) {
    if (ends_chain(thread, *frame, self, younger)) {
      report_below(thread, sp, self);
      break;
    }
    younger = frame->age;
    CallFrame* parent = frame->parent;
    if (!on_own_stack(thread, frame->sp, frame->sp)) {
      ++foreign;
      if (on_signal_stack(frame->sp, 0)) {
        report_unwound(*frame);
        put_free(thread, *frame);
      }
    } else if (frame->sp < sp || (frame->sp == sp && same_slot_is_dead)) {
      report_unwound(*frame);
      if (frame->sp == sp) put_free(thread, *frame);
    } else {
      return frame;
    }
    frame = parent;
  }
  return &bottom_frame;
}

}  // namespace

void ct_stack_slow(CallFrame* frame) {
  isa::expect_stack();
  ThreadState& thread = ct_thread;
  if (frame->parent->sp == CallFrame::kNoStack || !tells_by_address(thread, frame->sp)) return;
  const isa::SignalsBlocked blocked;
  const bool tail_call = is_in_trampoline(frame->return_address);
  frame->parent = report_cut_off(thread, frame->parent, frame->sp, !tail_call, frame, &bottom_frame);
}

void ct_exit_slow(CallFrame* frame) {
  isa::expect_stack();
  ThreadState& thread = ct_thread;
  const isa::SignalsBlocked blocked;
  CallFrame* newest = thread.top;
  thread.top = frame;  // where is_writing_in() finds it while its exit is written
  if (tells_by_address(thread, frame->sp)) {
    report_cut_off(thread, newest, frame->sp, true, nullptr, frame);
  } else {
    // Whether the others are over is found out later, when the chain of the newest no longer leads to them.
    constexpr int kMost = 64;
    settle_chain(thread, newest, frame, kMost);
  }
}
