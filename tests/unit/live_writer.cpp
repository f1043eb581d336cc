#include "live_writer.h"

#include <sys/mman.h>

#include <cstring>
#include <stdexcept>

namespace calltap::test {
namespace {

constexpr std::uint64_t kSentinel = ~std::uint64_t{0};

}  // namespace

TargetMemory::TargetMemory(int fd, std::uint64_t bytes)
    : memory_(::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)), bytes_(bytes) {
  if (memory_ == MAP_FAILED) throw std::runtime_error("mmap");
}

TargetMemory::~TargetMemory() { ::munmap(memory_, bytes_); }

LiveWriter::LiveWriter(buffer::Pool pool, std::uint32_t tid, const char* name)
    : pool_(pool), slot_(pool.claim_thread(tid)) {
  if (slot_ == buffer::Pool::kNone) throw std::runtime_error("no thread slot");
  std::strncpy(pool_.thread(slot_).name, name, sizeof pool_.thread(slot_).name - 1);
}

LiveWriter& LiveWriter::event(event::EventId id, std::uint32_t function, std::uint64_t time) {
  if (cursor_ != nullptr && cursor_ + 1 >= sentinel_) close_and_queue();
  if (cursor_ == nullptr && !open(time)) {
    discard(event::DiscardReason::kBufferFull, 1);
    return *this;
  }
  if (time - time_ <= event::kTimeMask) {
    put(event::compact_event(id, time, function));
  } else {
    const event::ExtendedEvent e = event::extended_event(id, time, function);
    put(e.low);
    put(e.high);
  }
  time_ = time;
  return *this;
}

LiveWriter& LiveWriter::word(std::uint64_t word) {
  put(word);
  return *this;
}

LiveWriter& LiveWriter::with_words(event::EventId id, std::uint32_t function, std::uint64_t time,
                                   std::uint32_t layout, const std::vector<std::uint64_t>& words) {
  event(id, function, time);
  word(event::words_header(static_cast<std::uint32_t>(words.size()), layout));
  for (const std::uint64_t w : words) word(w);
  return *this;
}

void LiveWriter::discard(event::DiscardReason reason, std::uint64_t events) {
  std::uint64_t& count = pool_.thread(slot_).discarded[static_cast<std::size_t>(reason)];
  __atomic_store_n(&count, count + events, __ATOMIC_RELAXED);
}

std::uint64_t LiveWriter::total_discarded() const {
  std::uint64_t sum = 0;
  for (const std::uint64_t count : pool_.thread(slot_).discarded) sum += count;
  return sum;
}

bool LiveWriter::open(std::uint64_t time) {
  const std::uint32_t index = pool_.claim_packet(slot_);
  if (index == buffer::Pool::kNone) return false;
  packet_ = index;
  std::uint8_t* const packet = pool_.packet(index);
  std::memset(packet, 0, event::kPacketBytes);
  event::PacketHeader& h = pool_.header(index);
  h.timestamp_begin = time;
  h.timestamp_end = time;
  h.packet_bits = event::kPacketBytes * 8;
  h.sequence = pool_.thread(slot_).packet_sequence++;
  h.discarded = total_discarded();
  h.tid = pool_.thread(slot_).tid.load(std::memory_order_relaxed);
  __atomic_store_n(&h.magic, event::kCtfMagic, __ATOMIC_RELEASE);
  sentinel_ = reinterpret_cast<std::uint64_t*>(packet + event::kPacketBytes) - 1;
  *sentinel_ = kSentinel;
  cursor_ = reinterpret_cast<std::uint64_t*>(&h + 1);
  time_ = time;
  return true;
}

void LiveWriter::close() {
  event::PacketHeader& h = pool_.header(packet_);
  const auto content = static_cast<std::uint32_t>(reinterpret_cast<std::uint8_t*>(cursor_) -
                                                  reinterpret_cast<std::uint8_t*>(&h));
  for (std::uint64_t* at = cursor_; at < sentinel_; ++at) __atomic_store_n(at, kSentinel, __ATOMIC_RELAXED);
  h.content_bits = std::uint64_t{content} * 8;
  h.timestamp_end = time_;
  h.discarded = total_discarded();
  pool_.descriptor(packet_).content_bytes = content;
  cursor_ = nullptr;
}

bool LiveWriter::move() {
  const auto events =
      static_cast<std::uint64_t>(cursor_ - reinterpret_cast<std::uint64_t*>(&pool_.header(packet_) + 1));
  close();
  const std::uint32_t other = pool_.claim_packet(slot_);
  const std::uint32_t content = pool_.descriptor(packet_).content_bytes;
  event::PacketHeader header = pool_.header(packet_);
  if (other != buffer::Pool::kNone) {
    header.magic = 0;
    std::memcpy(pool_.packet(other), &header, sizeof header);
    std::memcpy(pool_.packet(other) + sizeof header, pool_.packet(packet_) + sizeof header,
                event::kPacketBytes - sizeof header);
    pool_.descriptor(other).content_bytes = content;
  } else {
    discard(event::DiscardReason::kBufferFull, events);
  }
  std::memset(pool_.packet(packet_), 0xff, event::kPacketBytes);
  pool_.set_aside(slot_);
  aside_ = packet_;
  if (other == buffer::Pool::kNone) return false;
  packet_ = other;
  __atomic_store_n(&pool_.header(other).magic, event::kCtfMagic, __ATOMIC_RELEASE);
  return true;
}

void LiveWriter::give_back() {
  pool_.give_back(aside_);
  aside_ = buffer::Pool::kNone;
}

void LiveWriter::end() {
  if (cursor_ != nullptr) close_and_queue();
  pool_.thread(slot_).ended.store(1, std::memory_order_release);
}

}  // namespace calltap::test
