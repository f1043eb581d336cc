#include "trace/live_reader.h"

#include <algorithm>
#include <atomic>
#include <tuple>

#include "isa/native.h"

namespace calltap::trace {
namespace {

constexpr std::uint64_t kSentinel = ~std::uint64_t{0};
// Capacity that a thread's pending events keep: all threads together must not keep that of their busiest
// moments.
constexpr std::size_t kKeptCapacity = 4096;

// Events of a pass from which on the next one should not wait: a thread that writes as fast as it can has
// written as many in some milliseconds.
constexpr std::size_t kBusy = std::size_t{1} << 16;

/// Once, and whole: the writer stores it whole.
std::uint64_t load_word(const std::uint8_t* at) {
  return __atomic_load_n(reinterpret_cast<const std::uint64_t*>(at), __ATOMIC_RELAXED);
}

/// The number of words behind an event, with their header; 0: there are not as many bytes left.
std::uint32_t words_behind(const std::uint8_t* at, std::uint32_t bytes_left) {
  std::atomic_thread_fence(std::memory_order_acquire);  // the writer stores the event's beginning last
  if (bytes_left < 8) return 0;
  const auto count = static_cast<std::uint32_t>(load_word(at));
  return count == 0 || count > event::kMaxWords || count >= bytes_left / 8 ? 0 : count + 1;
}

bool is_call_event(std::uint32_t id) { return id - 1 <= 2; }

/// Neither a gap nor part of another event.
bool is_event(LiveKind kind) { return kind != LiveKind::kGap && kind != LiveKind::kHalfWord; }

}  // namespace

LiveSettings live_settings(std::uint64_t ticks_a_second) {
  LiveSettings settings;
  settings.hold_back = ticks_a_second / 20;
  settings.future = ticks_a_second;
  return settings;
}

LiveReader::LiveReader(SharedMemory& memory, LiveFunctions& functions, LiveSink& sink,
                       const LiveSettings& settings)
    : memory_(memory), functions_(functions), sink_(sink), settings_(settings), slots_(buffer::kMaxThreads) {
  if (settings_.clock == nullptr) settings_.clock = [] { return isa::native::read_clock(); };
  function_count_ = functions_.count();
}

void LiveReader::finish() {
  // A packet behind a missing one is accepted in the second pass that does not find that.
  constexpr std::size_t kMostEvents = event::kPacketBytes / event::kCompactBytes;
  const std::size_t most = 64 + memory_.packet_count() * kMostEvents / settings_.most_a_pass;
  std::size_t idle = 0;
  for (std::size_t i = 0; i < most && idle < 2; ++i) {
    const bool more = pass();
    idle = more || taken_ != 0 ? 0 : idle + 1;
  }
  deliver(kForEver);
  end_delivered_streams();
  sink_.reached(kForEver);
}

bool LiveReader::pass() {
  ++pass_;
  taken_ = 0;
  // Everything that was visible at this time is seen by this pass.
  const std::uint64_t now = settings_.clock();
  latest_possible_ = now + settings_.future;
  collect();
  std::uint64_t complete_until = kForEver;
  bool more = false;
  for (const Candidate& candidate : candidates_) {
    if (taken_ >= settings_.most_a_pass || pending_ >= settings_.most_pending) {
      // Those that follow begin no earlier.
      complete_until = std::min(complete_until, candidate.begin);
      more = true;
      break;
    }
    complete_until = std::min(complete_until, consume(candidate));
  }
  memory_.announce_released();
  poll_slots();
  // Rather late events than ever more of them.
  if (pending_ >= settings_.most_pending) complete_until = kForEver;
  const std::uint64_t due = now > settings_.hold_back ? now - settings_.hold_back : 0;
  reached_ = std::max(reached_, std::min(due, complete_until));
  deliver(reached_);
  end_delivered_streams();
  if (reported_ != counts_.discarded) {
    DiscardCounts since;
    for (std::size_t i = 0; i < since.size(); ++i) since[i] = counts_.discarded[i] - reported_[i];
    reported_ = counts_.discarded;
    sink_.discarded(since);
  }
  sink_.reached(reached_);
  return more || taken_ >= kBusy;
}

/// All packets that have an owner, each thread's in the order of their numbers, and all in that of their
/// beginnings.
void LiveReader::collect() {
  candidates_.clear();
  for (std::uint32_t i = 0; i < memory_.packet_count(); ++i) {
    const auto packet = memory_.look_at(i);
    if (!packet) continue;
    candidates_.push_back({packet->header.timestamp_begin, packet->header.sequence, packet->slot,
                           packet->incarnation, packet->index});
  }
  std::sort(candidates_.begin(), candidates_.end(), [](const Candidate& a, const Candidate& b) {
    return std::tie(a.begin, a.slot, a.incarnation, a.sequence) <
           std::tie(b.begin, b.slot, b.incarnation, b.sequence);
  });
}

std::uint64_t LiveReader::consume(const Candidate& candidate) {
  // Its state has been read again since the packets behind it were found: it is full if there are any.
  const auto packet = memory_.look_at(candidate.index);
  if (!packet || packet->slot != candidate.slot || packet->incarnation != candidate.incarnation ||
      packet->header.sequence != candidate.sequence) {
    return candidate.begin;  // on its way to another place
  }
  Stream* const stream = stream_of(*packet);
  if (stream == nullptr || packet->header.sequence < stream->sequence) {
    // No recorder does this.
    if (!packet->full) return kForEver;
    ++counts_.damaged_packets;
    memory_.recycle(*packet);
    return kForEver;
  }
  if (packet->header.sequence > stream->sequence) {
    const bool is_lost = stream->missing == stream->sequence && stream->missing_since != pass_;
    if (!is_lost) {
      stream->missing = stream->sequence;
      stream->missing_since = pass_;
      return stream->time;
    }
    counts_.lost_packets += packet->header.sequence - stream->sequence;
    counts_.seen_of_lost += stream->read;
    stream->sequence = packet->header.sequence;
    stream->offset = 0;
    stream->read = 0;
    stream->begun = false;
    stream->damaged = false;
    stream->gap = true;
  }
  return read_packet(*stream, *packet);
}

std::uint64_t LiveReader::read_packet(Stream& stream, const ReadyPacket& packet) {
  // Until it is known that the packet stayed what it was, nothing of this counts.
  const std::size_t kept = stream.pending.size();
  const std::uint64_t time = stream.time;
  const std::uint32_t offset = stream.offset;
  const std::uint32_t read = stream.read;
  const bool begun = stream.begun;
  const bool gap = stream.gap;
  const std::uint64_t discarded = stream.discarded;
  if (!stream.begun) begin_packet(stream, packet);
  const bool sound = stream.damaged || read_events(stream, packet);
  if (!packet.full && !memory_.still_same(packet)) {
    stream.pending.resize(kept);
    stream.time = time;
    stream.offset = offset;
    stream.read = read;
    stream.begun = begun;
    stream.gap = gap;
    stream.discarded = discarded;
    if (!begun) stream.damaged = false;
    return std::max(time, packet.header.timestamp_begin);
  }
  if (!sound) {
    stream.damaged = true;
    stream.gap = true;
    ++counts_.damaged_packets;
  }
  const std::size_t added = stream.pending.size() - kept;
  pending_ += added;
  taken_ += added;
  if (packet.full) finish_packet(stream, packet);
  return kForEver;
}

void LiveReader::begin_packet(Stream& stream, const ReadyPacket& packet) {
  const event::PacketHeader& header = packet.header;
  stream.begun = true;
  if (header.timestamp_begin < stream.time || header.timestamp_begin > latest_possible_) {
    // Its events' times mean nothing.
    stream.damaged = true;
    stream.gap = true;
    ++counts_.damaged_packets;
    return;
  }
  stream.gap = stream.gap || header.discarded != stream.discarded;
  stream.discarded = header.discarded;
  stream.time = header.timestamp_begin;
  if (!stream.gap) return;
  stream.gap = false;
  stream.pending.push_back(
      {stream.time, 0, static_cast<std::uint16_t>(slots_[stream.slot].stream - 1), LiveKind::kGap, false});
}

/// False at something that no recorder writes.
bool LiveReader::read_events(Stream& stream, const ReadyPacket& packet) {
  const auto thread = static_cast<std::uint16_t>(slots_[stream.slot].stream - 1);
  std::uint32_t at = stream.offset;
  std::uint64_t time = stream.time;
  std::uint32_t read = stream.read;
  bool sound = true;
  while (at + event::kCompactBytes <= packet.event_bytes) {
    const std::uint64_t word = load_word(packet.events + at);
    if (word == 0 || word == kSentinel) break;
    auto id = static_cast<std::uint32_t>(word & 31);
    auto function = static_cast<std::uint32_t>(word >> 32);
    std::uint64_t next = time + (((word >> event::kIdBits) - time) & event::kTimeMask);
    std::uint32_t size = event::kCompactBytes;
    if (id == static_cast<std::uint32_t>(event::EventId::kExtended)) [[unlikely]] {
      if (at + event::kExtendedBytes > packet.event_bytes) break;
      const std::uint64_t high = load_word(packet.events + at + event::kCompactBytes);
      if (high == 0 || high == kSentinel) break;  // the other half comes, or was taken back
      id = static_cast<std::uint32_t>(word) >> event::kIdBits;
      function = static_cast<std::uint32_t>(high >> 32);
      next = word >> 32 | high << 32;
      size = event::kExtendedBytes;
    }
    std::uint32_t words = 0;
    if (!is_call_event(id) || next < time || next > latest_possible_ || function - 1 >= function_count_)
        [[unlikely]] {
      const bool has_words = event::has_words(static_cast<event::EventId>(id));
      if (has_words) words = words_behind(packet.events + at + size, packet.event_bytes - at - size);
      const bool is_whole = is_call_event(id) || words != 0;
      if (!is_whole || next < time || !is_possible(next, function)) {
        sound = false;
        break;
      }
    }
    stream.pending.push_back({next, function, thread, static_cast<LiveKind>(id), false});
    time = next;
    at += size;
    for (; words != 0; --words, at += 8) {
      const std::uint64_t data = load_word(packet.events + at);
      const auto low = static_cast<std::uint32_t>(data);
      const auto high = static_cast<std::uint32_t>(data >> 32);
      stream.pending.push_back({next, low, thread, LiveKind::kHalfWord, false});
      stream.pending.push_back({next, high, thread, LiveKind::kHalfWord, false});
    }
    ++read;
  }
  // A full packet is full of events.
  if (packet.full && at != packet.event_bytes) sound = false;
  stream.offset = at;
  stream.read = read;
  stream.time = time;
  return sound;
}

/// The tool may have stood still since it read its clock, or not yet have heard of a module.
bool LiveReader::is_possible(std::uint64_t time, std::uint32_t function) {
  if (time > latest_possible_) latest_possible_ = settings_.clock() + settings_.future;
  if (function - 1 >= function_count_ && function != 0) {
    functions_.refresh();
    function_count_ = functions_.count();
  }
  return time <= latest_possible_ && function - 1 < function_count_;
}

void LiveReader::finish_packet(Stream& stream, const ReadyPacket& packet) {
  ++counts_.packets;
  stream.discarded = packet.header.discarded;
  ++stream.sequence;
  stream.offset = 0;
  stream.read = 0;
  stream.begun = false;
  stream.damaged = false;
  memory_.recycle(packet);
}

LiveReader::Stream* LiveReader::stream_of(std::uint32_t slot, std::uint32_t incarnation,
                                          const SlotView& view) {
  SlotUse& use = slots_[slot];
  if (use.stream != 0) {
    Stream& present = streams_[use.stream - 1];
    if (present.incarnation == incarnation) return &present;
    end_stream(
        present);  // a target that writes nonsense: nobody else changes it before the tool frees the slot
  }
  if (incarnation == use.retired) return nullptr;
  if (free_streams_.empty()) {
    if (streams_.size() >= kMostLiveThreads) return nullptr;
    free_streams_.push_back(static_cast<std::uint16_t>(streams_.size()));
    streams_.emplace_back();
  }
  const std::uint16_t index = free_streams_.back();
  free_streams_.pop_back();
  Stream& stream = streams_[index];
  stream = Stream{};
  stream.used = true;
  stream.slot = slot;
  stream.incarnation = incarnation;
  stream.thread = {view.tid, view.name};
  use.stream = index + 1U;
  ++counts_.threads_started;
  sink_.thread_started(index, stream.thread);
  return &stream;
}

LiveReader::Stream* LiveReader::stream_of(const ReadyPacket& packet) {
  const SlotUse& use = slots_[packet.slot];
  if (use.stream != 0 && streams_[use.stream - 1].incarnation == packet.incarnation)
    return &streams_[use.stream - 1];
  SlotView view = memory_.slot(packet.slot);
  if (view.incarnation != packet.incarnation) {  // nonsense again: take the packet's own word
    view = {};
    view.tid = packet.header.tid;
  }
  return stream_of(packet.slot, packet.incarnation, view);
}

/// Counts what threads have discarded, and frees the slots of those that have ended and were read.
void LiveReader::poll_slots() {
  for (std::uint32_t slot = 0; slot < memory_.slots_used(); ++slot) {
    const SlotView view = memory_.slot(slot);
    // A thread that has just claimed the slot may still have the number of the one before it.
    if (view.tid == 0 || view.incarnation == slots_[slot].retired) continue;
    const bool known =
        slots_[slot].stream != 0 && streams_[slots_[slot].stream - 1].incarnation == view.incarnation;
    const bool any = std::any_of(view.discarded.begin(), view.discarded.end(), [](auto n) { return n != 0; });
    if (!known && !any && !view.ended) continue;
    Stream* const stream = stream_of(slot, view.incarnation, view);
    if (stream == nullptr) continue;  // later
    poll_discards(*stream, view);
    if (!view.ended || view.has_queued) continue;
    end_stream(*stream);
    memory_.free_slot(slot);
  }
  const std::uint64_t slotless = memory_.slotless_discarded();
  if (slotless <= slotless_) return;
  counts_.discarded[static_cast<std::size_t>(event::DiscardReason::kNoThreadSlot)] += slotless - slotless_;
  slotless_ = slotless;
}

void LiveReader::poll_discards(Stream& stream, const SlotView& view) {
  for (std::size_t i = 0; i < view.discarded.size(); ++i) {
    if (view.discarded[i] <= stream.polled[i]) continue;  // they only grow
    counts_.discarded[i] += view.discarded[i] - stream.polled[i];
    stream.polled[i] = view.discarded[i];
  }
}

void LiveReader::end_stream(Stream& stream) {
  SlotUse& use = slots_[stream.slot];
  use.stream = 0;
  use.retired = stream.incarnation;
  stream.ended = true;
}

void LiveReader::end_delivered_streams() {
  for (std::size_t i = 0; i < streams_.size(); ++i) {
    Stream& stream = streams_[i];
    if (!stream.used || !stream.ended || stream.has_pending()) continue;
    ++counts_.threads_ended;
    sink_.thread_ended(static_cast<std::uint16_t>(i));
    stream = Stream{};
    free_streams_.push_back(static_cast<std::uint16_t>(i));
  }
}

void LiveReader::deliver(std::uint64_t until) {
  turns_.clear();
  for (std::size_t i = 0; i < streams_.size(); ++i) {
    const Stream& stream = streams_[i];
    if (stream.has_pending() && stream.front().time <= until)
      turns_.push_back({stream.front().time, static_cast<std::uint16_t>(i)});
  }
  std::make_heap(turns_.begin(), turns_.end());
  while (!turns_.empty()) {
    std::pop_heap(turns_.begin(), turns_.end());
    const std::uint16_t index = turns_.back().stream;
    turns_.pop_back();
    deliver_run(index, until, turns_.empty() ? nullptr : &turns_.front());
    const Stream& stream = streams_[index];
    if (!stream.has_pending() || stream.front().time > until) continue;
    turns_.push_back({stream.front().time, index});
    std::push_heap(turns_.begin(), turns_.end());
  }
  flush();
}

/// One thread's events until it is another one's turn.
void LiveReader::deliver_run(std::uint16_t index, std::uint64_t until, const Turn* next) {
  Stream& stream = streams_[index];
  const std::size_t begin = stream.head;
  std::size_t end = begin;
  while (end < stream.pending.size() && stream.pending[end].time <= until &&
         (next == nullptr || end == begin || *next < Turn{stream.pending[end].time, index})) {
    LiveEvent& event = stream.pending[end++];
    if (event.time < delivered_until_) [[unlikely]] {
      event.late = true;
      if (is_event(event.kind)) ++counts_.late;
    } else {
      delivered_until_ = event.time;
    }
    counts_.events += is_event(event.kind) ? 1 : 0;
  }
  put({stream.pending.data() + begin, end - begin});
  pending_ -= end - begin;
  stream.head = end;
  if (stream.head < stream.pending.size() / 2 || stream.head < kKeptCapacity / 4) {
    if (stream.has_pending()) return;
  }
  stream.pending.erase(stream.pending.begin(),
                       stream.pending.begin() + static_cast<std::ptrdiff_t>(stream.head));
  stream.head = 0;
  if (stream.pending.capacity() > kKeptCapacity && stream.pending.capacity() / 8 > stream.pending.size())
    stream.pending.shrink_to_fit();
}

void LiveReader::put(std::span<const LiveEvent> events) {
  constexpr std::size_t kLongRun = 64;
  if (events.size() >= kLongRun) {
    flush();
    for (std::size_t at = 0; at < events.size(); at += kMostAtOnce)
      sink_.events(events.subspan(at, std::min(kMostAtOnce, events.size() - at)));
    return;
  }
  if (out_count_ + events.size() > out_.size()) flush();
  std::copy(events.begin(), events.end(), out_.begin() + static_cast<std::ptrdiff_t>(out_count_));
  out_count_ += events.size();
}

void LiveReader::flush() {
  if (out_count_ != 0) sink_.events({out_.data(), out_count_});
  out_count_ = 0;
}

}  // namespace calltap::trace
