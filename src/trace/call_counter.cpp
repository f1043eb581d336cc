#include "trace/call_counter.h"

#include <algorithm>

namespace calltap::trace {
namespace {

constexpr std::uint64_t kSentinel = ~std::uint64_t{0};
// Bounds what a target can make us allocate.
constexpr std::uint32_t kMostFunctions = 1U << 22;
constexpr std::size_t kMostOpen = 4096;
constexpr std::size_t kMostSearched = 64;

std::uint64_t load_word(const std::uint8_t* at) {
  return __atomic_load_n(reinterpret_cast<const std::uint64_t*>(at), __ATOMIC_RELAXED);
}

}  // namespace

const CallCounter::Stream* CallCounter::find(const ReadyPacket& packet) const {
  if (packet.slot >= streams_.size()) return nullptr;
  const Stream& stream = streams_[packet.slot];
  return stream.is_used && stream.incarnation == packet.incarnation ? &stream : nullptr;
}

/// Ready for this packet. All of a thread's come before those of the next one in its slot.
CallCounter::Stream& CallCounter::stream_of(const ReadyPacket& packet) {
  if (packet.slot >= streams_.size()) streams_.resize(std::size_t{packet.slot} + 1);
  Stream& stream = streams_[packet.slot];
  if (find(packet) == nullptr) {
    stream = {};
    stream.is_used = true;
    stream.incarnation = packet.incarnation;
  }
  if (stream.sequence != packet.header.sequence) {  // the next one, or some are lost
    stream.sequence = packet.header.sequence;
    stream.offset = 0;
  }
  if (stream.offset == 0) stream.time = packet.header.timestamp_begin;
  return stream;
}

void CallCounter::take(const ReadyPacket& packet) {
  Stream& stream = stream_of(packet);
  if (stream.offset < packet.event_bytes)
    read(stream, packet.events + stream.offset, packet.event_bytes - stream.offset);
  ++stream.sequence;
  stream.offset = 0;
}

void CallCounter::look(const SharedMemory& memory) {
  for (std::uint32_t i = 0; i < memory.packet_count(); ++i) {
    const auto packet = memory.look_at(i);
    if (!packet || packet->full) continue;
    // Where packets before it have not been taken yet, it has time.
    const Stream* const known = find(*packet);
    if (packet->header.sequence != (known == nullptr ? 0 : known->sequence)) continue;
    const std::uint32_t begin = known == nullptr ? 0 : known->offset;
    // Nothing of it counts until it is known that the packet stayed what it was.
    copy_.clear();
    for (std::uint32_t at = begin; at + event::kCompactBytes <= packet->event_bytes;
         at += event::kCompactBytes) {
      const std::uint64_t word = load_word(packet->events + at);
      if (word == 0 || word == kSentinel) break;
      const auto* bytes = reinterpret_cast<const std::uint8_t*>(&word);
      copy_.insert(copy_.end(), bytes, bytes + sizeof word);
    }
    if (copy_.empty() || !memory.still_same(*packet)) continue;
    read(stream_of(*packet), copy_.data(), static_cast<std::uint32_t>(copy_.size()));
  }
}

void CallCounter::read(Stream& stream, const std::uint8_t* events, std::uint32_t bytes) {
  std::uint32_t at = 0;
  while (at + event::kCompactBytes <= bytes) {
    const std::uint64_t word = load_word(events + at);
    if (word == 0 || word == kSentinel) break;
    auto id = static_cast<std::uint32_t>(word & 31);
    auto function = static_cast<std::uint32_t>(word >> 32);
    std::uint32_t size = event::kCompactBytes;
    if (id == static_cast<std::uint32_t>(event::EventId::kExtended)) {
      if (at + event::kExtendedBytes > bytes) break;  // the other half comes
      const std::uint64_t high = load_word(events + at + event::kCompactBytes);
      id = static_cast<std::uint32_t>(word) >> event::kIdBits;
      function = static_cast<std::uint32_t>(high >> 32);
      stream.time = word >> 32 | high << 32;
      size = event::kExtendedBytes;
    } else {
      stream.time += ((word >> event::kIdBits) - stream.time) & event::kTimeMask;
    }
    if (id == static_cast<std::uint32_t>(event::EventId::kEntry)) {
      enter(stream, function);
    } else {
      leave(stream, function);
    }
    at += size;
  }
  stream.offset += at;
}

void CallCounter::enter(Stream& stream, std::uint32_t function) {
  CountedCalls* const counts = counts_of(function);
  if (counts == nullptr) {
    ++of_nothing_;
    return;
  }
  ++counts->calls;
  ++all_[function];
  // Deeper ones have no durations, and what comes back to here has.
  if (stream.open.size() < kMostOpen) stream.open.push_back({function, stream.time});
}

void CallCounter::leave(Stream& stream, std::uint32_t function) {
  std::vector<Open>& open = stream.open;
  const auto last = open.rbegin() + static_cast<std::ptrdiff_t>(std::min(open.size(), kMostSearched));
  const auto found =
      std::find_if(open.rbegin(), last, [function](const Open& call) { return call.function == function; });
  if (found == last) return;
  CountedCalls* const counts = counts_of(function);
  ++counts->ended;
  counts->ticks += stream.time - found->time;
  open.erase(found.base() - 1);  // mostly the last one
}

/// Null: no function has this number.
CountedCalls* CallCounter::counts_of(std::uint32_t function) {
  if (function == 0 || function >= kMostFunctions) return nullptr;
  if (function >= place_.size()) {
    const std::size_t size = std::max<std::size_t>(function + 1, 2 * place_.size());
    place_.resize(size);
    all_.resize(size);
  }
  std::uint32_t& place = place_[function];
  if (place == 0) {
    counts_.push_back({function});
    place = static_cast<std::uint32_t>(counts_.size());
  }
  return &counts_[place - 1];
}

const std::vector<CountedCalls>& CallCounter::collect() {
  for (const CountedCalls& counts : counts_) place_[counts.function] = 0;
  std::swap(collected_, counts_);
  counts_.clear();
  return collected_;
}

}  // namespace calltap::trace
