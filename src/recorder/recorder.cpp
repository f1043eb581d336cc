// The recorder's slow path: everything but "there is room for one more compact event".
//
// It runs inside a hooked call, in any thread, at any time, also in a signal handler and inside the program's
// malloc: system calls only, with signals blocked. What it does with packets is in packets.cpp.
#include <sys/mman.h>

#include "buffer/pool.h"
#include "event/event_layout.h"
#include "isa/system.h"
#include "patch/core_sync.h"
#include "recorder/packets.h"
#include "recorder/process.h"
#include "trampoline/frames.h"

namespace calltap::recorder {
namespace {

using buffer::OnFull;
using buffer::Pool;
using buffer::ThreadSlot;
using event::DiscardReason;
using trampoline::ThreadState;
using trampoline::Writer;

Process* the_process = nullptr;  // one page, zero on fork
Writer* writers = nullptr;       // one a thread that ever wrote, zero on fork

bool is_writer(const Writer* w) { return w >= writers && w < writers + buffer::kMaxThreads; }

/// While it lives the pool stays where it is, if there is one: see leave_pool(). Not for what a signal
/// handler may leave by longjmp.
class InPool {
 public:
  InPool() {
    if (the_process == nullptr) return;
    the_process->inside.fetch_add(1, std::memory_order_seq_cst);
    while (the_process->frozen.load(std::memory_order_seq_cst) != 0) {
      the_process->inside.fetch_sub(1, std::memory_order_release);
      isa::native::system_call(SYS_sched_yield);
      the_process->inside.fetch_add(1, std::memory_order_seq_cst);
    }
    has_pool_ = the_process->mode.load(std::memory_order_seq_cst) == Mode::kOn;
  }
  ~InPool() {
    if (the_process != nullptr) the_process->inside.fetch_sub(1, std::memory_order_release);
  }
  InPool(const InPool&) = delete;
  InPool& operator=(const InPool&) = delete;
  explicit operator bool() const { return has_pool_; }

 private:
  bool has_pool_ = false;
};

void* map_zero_on_fork(std::size_t bytes) {
  void* memory = isa::map_memory(bytes, MAP_NORESERVE);
  if (memory == nullptr) return nullptr;
  const long result = isa::native::system_call(SYS_madvise, reinterpret_cast<long>(memory),
                                               static_cast<long>(bytes), MADV_WIPEONFORK);
  return isa::is_error(result) ? nullptr : memory;
}

/// A writer keeps its thread as long as that lives, through any number of recordings: another that took it
/// over would be met by the first one's fast path. Null if there are too many threads.
Writer* own_writer(ThreadState& thread) {
  trampoline::start_thread(thread);
  const auto claim = [&thread](Writer& w) {
    std::uint32_t nobody = 0;
    return __atomic_compare_exchange_n(&w.owner, &nobody, thread.home, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_RELAXED);
  };
  Writer* w = thread.writer;
  if (is_writer(w) && (w->owner == thread.home || claim(*w))) return w;
  for (std::size_t i = 0; i < buffer::kMaxThreads; ++i) {
    if (writers[i].owner != 0 || !claim(writers[i])) continue;
    thread.writer = &writers[i];
    return thread.writer;
  }
  return nullptr;
}

/// The calling thread's writer, or null where it cannot have one (counted).
Writer* start_writer(Pool pool, ThreadState& thread) {
  Writer* w = own_writer(thread);
  const auto tid = static_cast<std::uint32_t>(isa::current_tid());
  const std::uint32_t index = w == nullptr ? Pool::kNone : pool.claim_thread(tid);
  if (index == Pool::kNone) {
    pool.control().slotless_discarded.fetch_add(1, std::memory_order_relaxed);
    return nullptr;
  }
  ThreadSlot& slot = pool.thread(index);
  constexpr int kGetName = 16;  // PR_GET_NAME
  isa::native::system_call(SYS_prctl, kGetName, reinterpret_cast<long>(slot.name));
  slot.first_time = isa::native::read_clock();
  w->last_time = 0;
  w->slot = index;
  w->packet = 0;
  w->has_packet = 0;
  w->free_seen = 0;
  w->aside = 0;
  w->is_shut = 0;
  static std::uint64_t no_slot = kSentinel;  // a thread without a packet finds its next slot taken
  w->sentinel = &no_slot;
  w->cursor = &no_slot;
  return w;
}

/// A shut writer: its fast path finds no free place, and the slow path looks at the gate.
std::uint64_t shut_slot = kSentinel;

bool is_kept_out(const Writer& w) {
  return gate.shut.load(std::memory_order_relaxed) != 0 ||
         (gate.only_inside.load(std::memory_order_relaxed) && w.inside == 0);
}

void shut(Writer& w) {
  if (w.is_shut != 0) return;
  w.is_shut = 1;
  w.cursor = &shut_slot;
}

/// The cursor goes back to the packet, which tells how far it was written.
void reopen(Pool pool, Writer& w) {
  if (w.is_shut == 0) return;
  w.is_shut = 0;
  w.cursor = w.has_packet != 0 ? reinterpret_cast<std::uint64_t*>(&pool.header(w.packet) + 1) : w.sentinel;
  skip_taken_slots(w);
}

/// A child after fork asks for a recording of its own.
void find_recording() {
  Process& p = *the_process;
  if (p.mode.load(std::memory_order_acquire) == Mode::kUnknown) {
    const auto me = static_cast<std::uint32_t>(isa::current_tid());
    std::uint32_t nobody = 0;
    if (p.connecting.compare_exchange_strong(nobody, me)) {
      connect_process();
      p.connecting.store(0);
    }
    // Another thread of a child that has just been forked is at it.
    while (p.mode.load(std::memory_order_acquire) == Mode::kUnknown)
      isa::native::system_call(SYS_sched_yield);
  }
}

/// The thread's writer in the recording that there is. Null: it can have none (counted).
Writer* writer_of(ThreadState& thread) {
  if (is_writer(thread.writer) && thread.writer->cursor != nullptr) return thread.writer;
  return start_writer(the_process->pool, thread);
}

/// A thread that has no packet because there is none: count the event and be gone, without a system call,
/// until something has changed. False: take the long way. A signal handler may leave it by longjmp, so it
/// does not say that it is in the pool: in one that has been left meanwhile there are zeros (leave_pool()).
bool discard_quickly(ThreadState& thread) {
  Process& p = *the_process;
  const Mode mode = p.mode.load(std::memory_order_acquire);
  if (mode == Mode::kOff) return true;
  if (mode != Mode::kOn) return false;
  Writer* w = thread.writer;
  if (!is_writer(w) || w->cursor == nullptr) return false;
  if (w->is_shut != 0) return is_kept_out(*w);
  if (w->has_packet != 0) return false;
  buffer::Control& c = p.pool.control();
  const std::uint32_t stopped = c.stopped.load(std::memory_order_relaxed);
  if (stopped != 0) {
    count_discarded(p.pool.thread(w->slot), static_cast<DiscardReason>(stopped - 1));
    return true;
  }
  if (c.on_full != OnFull::kDiscard || w->free_seen != c.free_sequence.load(std::memory_order_relaxed))
    return false;
  if (p.pool.thread(w->slot).packet_sequence == 0 && total_discarded(p.pool.thread(w->slot)) == 0)
    return false;
  count_discarded(p.pool.thread(w->slot), DiscardReason::kBufferFull);
  return true;
}

}  // namespace

bool initialise() {
  if (the_process != nullptr) return true;
  writers = static_cast<Writer*>(map_zero_on_fork(buffer::kMaxThreads * sizeof(Writer)));
  if (writers == nullptr) return false;
  auto* process = static_cast<Process*>(map_zero_on_fork(4096));
  __atomic_store_n(&the_process, process, __ATOMIC_RELEASE);
  return process != nullptr;
}

void forget_parent() {
  if (the_process == nullptr) return;
  Process& p = *the_process;
  if (p.mode.load(std::memory_order_relaxed) == Mode::kUnknown || p.pid == isa::current_pid()) return;
  __builtin_memset(writers, 0, buffer::kMaxThreads * sizeof(Writer));
  __builtin_memset(static_cast<void*>(&p), 0, sizeof p);
}

Process& process() { return *the_process; }

void end_thread(ThreadState& thread) {
  if (the_process == nullptr) return;  // nobody records
  Writer* w = thread.writer;
  if (!is_writer(w) || w->owner != thread.home) return;
  const InPool in_pool;
  if (in_pool && w->cursor != nullptr) {
    const Pool pool = the_process->pool;
    reopen(pool, *w);
    if (w->has_packet != 0) close_packet(pool, *w);
    give_back_aside(pool, *w);
    pool.thread(w->slot).ended.store(1, std::memory_order_release);
  }
  static Writer ended = {};
  thread.writer = &ended;  // a call after this one starts a new stream
  w->cursor = nullptr;
  w->inside = 0;
  __atomic_store_n(&w->owner, 0, __ATOMIC_RELEASE);
}

namespace {

/// Waits until no slow path is in the pool, so that cursors may be changed from outside. False: after
/// `rounds` milliseconds one still is.
bool wait_for_slow_paths(int rounds) {
  for (int round = 0; the_process->inside.load(std::memory_order_seq_cst) != 0; ++round) {
    if (round == rounds) return false;
    isa::sleep_for(1'000'000);
  }
  return true;
}

/// Gives all writers that have another one this cursor, with no slow path in the pool, until no fast path can
/// have what they had.
///
/// A fast path that finds the new cursor takes the slow path. One that had found the old one before the
/// barrier has noted in its frame that it is writing, and where. It may put its cursor back when it is done,
/// which is why this is repeated until nothing was there. False: after `rounds` milliseconds something still
/// was.
bool exchange_cursors(std::uint64_t* cursor, int rounds) {
  const Pool pool = the_process->pool;
  const std::size_t bytes = std::size_t{pool.control().packet_count} * event::kPacketBytes;
  for (int round = 0; round < rounds; ++round) {
    bool quiet = true;
    for (std::size_t i = 0; i < buffer::kMaxThreads; ++i) {
      Writer& w = writers[i];
      std::uint64_t* const now = __atomic_load_n(&w.cursor, __ATOMIC_RELAXED);
      if (w.owner == 0 || now == cursor || now == nullptr) continue;
      w.is_shut = cursor == &shut_slot ? 1 : 0;
      __atomic_store_n(&w.cursor, cursor, __ATOMIC_SEQ_CST);
      quiet = false;
    }
    if (!patch::synchronise_cores()) return false;
    if (quiet && !trampoline::anybody_is_writing_in(pool.packet(0), bytes)) return true;
    if (round > 1) isa::sleep_for(1'000'000);
  }
  return false;
}

}  // namespace

Gate gate = {};

bool leave_pool() {
  Process& p = *the_process;
  if (p.mode.exchange(Mode::kOff, std::memory_order_seq_cst) != Mode::kOn) return true;
  // Nobody waits for a packet any more.
  buffer::Control& c = p.pool.control();
  c.stopped.store(static_cast<std::uint32_t>(DiscardReason::kToolGone) + 1, std::memory_order_seq_cst);
  c.free_sequence.fetch_add(1, std::memory_order_seq_cst);
  isa::futex_wake(&c.free_sequence, 1 << 30, true);
  constexpr int kMostRounds = 2000;
  const bool left = wait_for_slow_paths(kMostRounds) && exchange_cursors(nullptr, kMostRounds);
  for (std::size_t i = 0; i < buffer::kMaxThreads; ++i) writers[i].inside = 0;
  return left;
}

void enforce_gate() {
  Process& p = *the_process;
  if (gate.shut.load() == 0 || p.mode.load() != Mode::kOn) return;
  constexpr int kMostRounds = 20;
  p.frozen.store(1, std::memory_order_seq_cst);
  if (wait_for_slow_paths(kMostRounds)) exchange_cursors(&shut_slot, kMostRounds);
  p.frozen.store(0, std::memory_order_seq_cst);
}

namespace {

/// Runs `write(pool, writer)` if the calling thread may write events now.
template <class Write>
void on_open_writer(Write write) {
  if (the_process == nullptr) return;
  find_recording();
  const InPool in_pool;
  if (!in_pool) return;
  Writer* w = writer_of(ct_thread);
  if (w == nullptr) return;
  if (is_kept_out(*w)) return shut(*w);
  reopen(the_process->pool, *w);
  write(the_process->pool, *w);
}

}  // namespace

void write_event_with_words(event::EventId id, std::uint32_t function, std::uint32_t layout,
                            const std::uint64_t* words, std::uint32_t count) {
  if (count == 0 || count > event::kMaxWords || the_process == nullptr || discard_quickly(ct_thread)) return;
  const std::uint64_t bits = std::uint64_t{function} << 32 | static_cast<std::uint64_t>(id);
  on_open_writer([&](Pool pool, Writer& w) { write_event(pool, w, bits, {words, count, layout}); });
}

std::uint32_t open_writer() {
  std::uint32_t number = kNoWriter;
  on_open_writer([&](Pool, Writer& w) { number = static_cast<std::uint32_t>(&w - writers); });
  return number;
}

void look_at_gate(ThreadState& thread) {
  const InPool in_pool;
  if (!in_pool) return;
  Writer* w = writer_of(thread);
  if (w != nullptr && is_kept_out(*w)) shut(*w);
}

void enter_inside(ThreadState& thread) {
  find_recording();
  const InPool in_pool;
  if (!in_pool) return;
  Writer* w = writer_of(thread);
  if (w != nullptr) ++w->inside;
}

void leave_inside(ThreadState& thread) {
  const InPool in_pool;
  if (!in_pool) return;
  Writer* w = thread.writer;
  // In a child of fork the call was entered before it was there.
  if (!is_writer(w) || w->owner != thread.home || w->inside == 0) return;
  if (--w->inside == 0 && w->cursor != nullptr && is_kept_out(*w)) shut(*w);
}

}  // namespace calltap::recorder

extern "C" {

void ct_event_write(std::uint64_t bits) {
  using namespace calltap::recorder;
  on_open_writer([bits](Pool pool, Writer& w) { write_event(pool, w, bits); });
}

/// From the trampolines.
void ct_event_slow(calltap::trampoline::CallFrame* frame, std::uint64_t bits) {
  using namespace calltap;
  isa::expect_stack();
  const bool entry = (bits & 31) == static_cast<std::uint64_t>(event::EventId::kEntry);
  const std::uint32_t flags = entry ? 0 : trampoline::CallFrame::kReported;
  if (recorder::discard_quickly(ct_thread)) {
    frame->event = bits;
    frame->flags = flags;
    return;
  }
  const isa::SignalsBlocked blocked;
  frame->flags &= ~trampoline::CallFrame::kWriting;  // not at the place that it has noted
  ct_event_write(bits);
  frame->event = bits;
  frame->flags = flags;
}

void ct_event_missed(calltap::trampoline::Miss why) {
  using namespace calltap;
  if (recorder::the_process == nullptr) return;  // nobody records
  constexpr std::uint64_t kEventsOfACall = 2;
  const auto reason =
      why == trampoline::Miss::kNoFrame ? event::DiscardReason::kNoFrame : event::DiscardReason::kInHandler;
  const isa::SignalsBlocked blocked;
  recorder::find_recording();
  const recorder::InPool in_pool;
  if (!in_pool) return;
  trampoline::Writer* w = recorder::writer_of(ct_thread);
  if (w != nullptr) {
    recorder::count_discarded(recorder::process().pool.thread(w->slot), reason, kEventsOfACall);
  }
}

bool ct_event_is_written(std::uint32_t address_low, std::uint64_t bits) {
  using namespace calltap;
  // Perhaps within a slow path that is in the pool. Of one that was left meanwhile only zeros are found.
  if (recorder::the_process == nullptr) return false;
  const recorder::Process& p = recorder::process();
  if (p.mode.load(std::memory_order_acquire) != recorder::Mode::kOn) return false;
  const auto begin = reinterpret_cast<std::uint64_t>(p.pool.packet(0));
  const std::uint64_t end = begin + std::uint64_t{p.pool.control().packet_count} * event::kPacketBytes;
  std::uint64_t address = (begin & ~std::uint64_t{0xffffffff}) | address_low;
  if (address < begin) address += std::uint64_t{1} << 32;
  return address < end && *reinterpret_cast<const volatile std::uint64_t*>(address) == bits;
}
}
