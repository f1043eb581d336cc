// Reads the events of a running process out of the memory that it shares with the tool, and delivers those of
// all threads in the order of time, within a fraction of a second.
//
// The reader looks at every packet again and again instead of waiting for full ones:
//  - A packet that is being written is read up to the first event that still begins with a zero word. How far
//    it was read is remembered by its number in the thread's stream, not by its place: a writer may move it.
//  - A full packet's rest is read, and the packet given back at once, wiped.
//  - A thread's packets are read in the order of their numbers. Where a number is missing, the reader has
//  looked
//    where the packet came to be later; when it is missing the next time too, it is lost.
//
// Order: events are held back until every thread was looked at some time (hold_back) after they happened.
// What comes later than that, from a thread that stood between reading its clock and writing, is delivered as
// soon as it is seen, marked `late`, and counted.
//
// The queue of full packets is not used, and neither is flight mode: a SharedMemory has a LiveReader or a
// ProcessRecording.
//
// The memory is the target's to write, so everything is read once and checked. Memory of the reader is
// bounded by most_pending; a pass takes time in proportion to most_a_pass, and the number of packets and
// threads.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <vector>

#include "trace/live_functions.h"
#include "trace/shared_memory.h"

namespace calltap::trace {

enum class LiveKind : std::uint8_t {
  kGap,  // of this thread, events are missing here
  kEntry,
  kExit,
  kUnwound,
  kArguments,  // followed by its words
  kStack,      // the same
  /// `function` is half a word of the last kArguments or kStack of this thread, the low one first; the first
  /// two are those of event::words_header(). Of other threads there may be events in between.
  kHalfWord,
};

struct LiveEvent {
  std::uint64_t time = 0;      // ticks
  std::uint32_t function = 0;  // 1 ... functions.count(); 0 with a gap; see kHalfWord
  std::uint16_t thread = 0;
  LiveKind kind = LiveKind::kGap;
  bool late = false;  // events of later times were delivered before
};
static_assert(sizeof(LiveEvent) == 16);

struct LiveThread {
  std::uint32_t tid = 0;
  std::string name;
};

class LiveSink {
 public:
  virtual ~LiveSink() = default;
  /// Before its first event. `thread` is free again after thread_ended(), and below kMostLiveThreads.
  virtual void thread_started(std::uint16_t thread, const LiveThread& what) = 0;
  virtual void thread_ended(std::uint16_t thread) = 0;
  /// At most kMostAtOnce, in the order of time but for late ones; of one thread always in its order.
  virtual void events(std::span<const LiveEvent> events) = 0;
  /// Events that the target has discarded since the last call.
  virtual void discarded(const DiscardCounts& counts) = 0;
  /// No event before this time will come, but for late ones. After every pass.
  virtual void reached(std::uint64_t time) = 0;
};

inline constexpr std::size_t kMostAtOnce = 4096;
inline constexpr std::size_t kMostLiveThreads = 2 * buffer::kMaxThreads;

struct LiveSettings {
  std::uint64_t hold_back = 0;                      // ticks
  std::uint64_t future = 0;                         // ticks that a thread's clock may be ahead of the tool's
  std::size_t most_pending = std::size_t{8} << 20;  // events
  std::size_t most_a_pass = std::size_t{1} << 20;   // events, and less than a packet more
  std::uint64_t (*clock)() = nullptr;               // null: the one that events carry
};

/// 50 ms and 1 s at this frequency.
LiveSettings live_settings(std::uint64_t ticks_a_second);

struct LiveCounts {
  std::uint64_t events = 0;  // delivered
  std::uint64_t late = 0;
  std::uint64_t packets = 0;  // read to the end
  /// Packets that were never seen whole. Their events are among the discarded ones, also those of `seen`.
  std::uint64_t lost_packets = 0;
  std::uint64_t seen_of_lost = 0;     // events
  std::uint64_t damaged_packets = 0;  // with something in them that no recorder writes; the rest was skipped
  std::uint64_t threads_started = 0;
  std::uint64_t threads_ended = 0;
  DiscardCounts discarded{};
};

/// One thread, the one that called SharedMemory::tie_life_to_thread().
class LiveReader {
 public:
  /// All must outlive the reader.
  LiveReader(SharedMemory& memory, LiveFunctions& functions, LiveSink& sink, const LiveSettings& settings);
  LiveReader(const LiveReader&) = delete;
  LiveReader& operator=(const LiveReader&) = delete;

  /// Takes what there is and delivers what is due. True: there is more, call again at once; otherwise within
  /// 10 ms or so, or the target will run out of packets.
  bool pass();
  /// The target is gone, or writes no more: takes and delivers everything.
  void finish();

  [[nodiscard]] const LiveCounts& counts() const { return counts_; }
  /// Events that were taken and not delivered yet.
  [[nodiscard]] std::size_t pending() const { return pending_; }

 private:
  struct Stream {
    LiveThread thread;
    std::uint32_t slot = 0;
    std::uint32_t incarnation = 0;
    bool used = false;
    bool ended = false;
    // The packet that is being read.
    std::uint64_t sequence = 0;
    std::uint32_t offset = 0;  // bytes of events that were read
    std::uint32_t read = 0;    // events
    bool begun = false;
    bool damaged = false;           // skip the rest
    bool gap = false;               // before the next packet
    std::uint64_t time = 0;         // of the last event
    std::uint64_t discarded = 0;    // as the last packet says
    std::uint64_t missing = kNone;  // the number that a pass before this one did not find
    std::uint64_t missing_since = 0;
    DiscardCounts polled{};
    // Not delivered yet: from `head` on.
    std::vector<LiveEvent> pending;
    std::size_t head = 0;

    [[nodiscard]] bool has_pending() const { return head != pending.size(); }
    [[nodiscard]] const LiveEvent& front() const { return pending[head]; }
  };
  struct Candidate {
    std::uint64_t begin;
    std::uint64_t sequence;
    std::uint32_t slot;
    std::uint32_t incarnation;
    std::uint32_t index;
  };
  struct Turn {
    std::uint64_t time;
    std::uint16_t stream;
    /// For std::push_heap, which keeps the greatest in front: the earliest is the greatest.
    bool operator<(const Turn& other) const {
      return time != other.time ? time > other.time : stream > other.stream;
    }
  };
  static constexpr std::uint64_t kNone = ~std::uint64_t{0};
  static constexpr std::uint64_t kForEver = ~std::uint64_t{0};

  void collect();
  /// How far all of the packet's thread has been read afterwards: kForEver if there is no more of it,
  /// otherwise the time from which on events may be missing.
  std::uint64_t consume(const Candidate& candidate);
  std::uint64_t read_packet(Stream& stream, const ReadyPacket& packet);
  void begin_packet(Stream& stream, const ReadyPacket& packet);
  bool read_events(Stream& stream, const ReadyPacket& packet);
  bool is_possible(std::uint64_t time, std::uint32_t function);
  void finish_packet(Stream& stream, const ReadyPacket& packet);

  Stream* stream_of(std::uint32_t slot, std::uint32_t incarnation, const SlotView& view);
  Stream* stream_of(const ReadyPacket& packet);
  void poll_slots();
  void poll_discards(Stream& stream, const SlotView& view);
  void end_stream(Stream& stream);
  void end_delivered_streams();

  void deliver(std::uint64_t until);
  void deliver_run(std::uint16_t index, std::uint64_t until, const Turn* next);
  void put(std::span<const LiveEvent> events);
  void flush();

  SharedMemory& memory_;
  LiveFunctions& functions_;
  LiveSink& sink_;
  LiveSettings settings_;
  LiveCounts counts_;
  std::deque<Stream> streams_;
  std::vector<std::uint16_t> free_streams_;
  struct SlotUse {
    std::uint32_t stream = 0;   // index + 1, 0 = none
    std::uint32_t retired = 0;  // the last incarnation that was done with
  };
  std::vector<SlotUse> slots_;
  std::vector<Candidate> candidates_;
  std::vector<Turn> turns_;
  std::array<LiveEvent, kMostAtOnce> out_;
  std::size_t out_count_ = 0;
  std::size_t pending_ = 0;
  std::size_t taken_ = 0;  // in this pass
  std::uint64_t pass_ = 0;
  std::uint64_t delivered_until_ = 0;  // time of the latest event that was delivered
  std::uint64_t reached_ = 0;
  std::uint64_t latest_possible_ = 0;
  std::uint32_t function_count_ = 0;
  std::uint64_t slotless_ = 0;
  DiscardCounts reported_{};
};

}  // namespace calltap::trace
