#include "trace/shared_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <system_error>

#include "isa/system.h"

namespace calltap::trace {
namespace {

using buffer::PacketState;

constexpr std::uint64_t kSentinel = ~std::uint64_t{0};
constexpr std::uint32_t kHeaderBytes = sizeof(event::PacketHeader);
constexpr std::uint32_t kMaxContent = event::kPacketBytes - 8;  // the last word is the sentinel

[[noreturn]] void throw_errno(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

/// Read once: the target may change it at any time.
std::uint32_t content_of(const buffer::PacketDescriptor& d) {
  const std::uint32_t bytes = *const_cast<const volatile std::uint32_t*>(&d.content_bytes);
  return std::clamp(bytes, kHeaderBytes, kMaxContent);
}

std::uint32_t packets_for(std::uint64_t bytes, std::uint64_t least, std::uint64_t most) {
  return static_cast<std::uint32_t>(std::clamp(bytes / event::kPacketBytes, least, most));
}

}  // namespace

EventSpan scan_events(const std::uint8_t* events, std::uint32_t bytes, std::uint64_t begin_time) {
  EventSpan span{0, begin_time, 0};
  const auto word_at = [events, &span](std::size_t i) {
    std::uint64_t word = 0;
    std::memcpy(&word, events + span.bytes + i * sizeof word, sizeof word);
    return word;
  };
  while (span.bytes + 8 <= bytes) {
    const std::uint64_t word = word_at(0);
    if (word == 0 || word == kSentinel) break;
    const std::size_t words = event::event_words(word_at, (bytes - span.bytes) / 8);
    if (words == 0) break;
    if ((word & 31) != static_cast<std::uint64_t>(event::EventId::kExtended)) {
      const std::uint64_t step = ((word >> event::kIdBits) - span.last_time) & event::kTimeMask;
      span.last_time += step;
    } else {
      const std::uint64_t high = word_at(1);
      if (high == 0) break;  // its writer was killed between the two words
      span.last_time = word >> 32 | high << 32;
    }
    span.bytes += static_cast<std::uint32_t>(words * 8);
    ++span.events;
  }
  return span;
}

SharedMemory::SharedMemory(const BufferSettings& settings, const std::array<std::uint8_t, 16>& uuid)
    : uuid_(uuid) {
  packet_count_ = packets_for(settings.bytes_in_total, 4, buffer::kMaxPackets);
  bytes_ = buffer::total_bytes(packet_count_);
  fd_ = ::memfd_create("calltap", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd_ < 0) throw_errno("cannot make the shared buffers");
  if (::ftruncate(fd_, static_cast<off_t>(bytes_)) != 0) {
    ::close(fd_);  // which leaves errno alone when it succeeds
    throw_errno("cannot make the shared buffers");
  }
  ::fcntl(fd_, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
  void* memory = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd_, 0);
  if (memory == MAP_FAILED) {
    ::close(fd_);
    throw_errno("cannot map the shared buffers");
  }
  memory_ = static_cast<std::uint8_t*>(memory);
  pool_ = buffer::Pool(memory_);
  buffer::Control& c = pool_.control();
  c.magic = buffer::kMagic;
  c.version = buffer::kVersion;
  c.on_full = settings.on_full;
  c.packet_count = packet_count_;
  c.packets_per_thread = packets_for(settings.bytes_per_thread, 2, packet_count_);
  std::copy(uuid.begin(), uuid.end(), c.uuid);
  c.packets_offset = buffer::packets_offset(packet_count_);
  for (std::uint32_t i = 0; i < packet_count_; ++i) c.free_bits[i / 64] |= std::uint64_t{1} << (i % 64);
}

SharedMemory::SharedMemory(int fd) : fd_(fd) {
  struct stat status = {};
  if (::fstat(fd, &status) != 0) throw_errno("cannot look at the snapshot");
  if ((::fcntl(fd, F_GET_SEALS) & F_SEAL_SHRINK) == 0) {
    ::close(fd);
    throw std::runtime_error("the snapshot could become shorter while it is read");
  }
  bytes_ = static_cast<std::uint64_t>(status.st_size);
  void* memory = bytes_ < sizeof(buffer::Control)
                     ? MAP_FAILED
                     : ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) throw std::runtime_error("the snapshot cannot be read");
  memory_ = static_cast<std::uint8_t*>(memory);
  pool_ = buffer::Pool(memory_);
  const buffer::Control& c = pool_.control();
  packet_count_ = c.packet_count;
  std::copy(std::begin(c.uuid), std::end(c.uuid), uuid_.begin());
  if (c.magic != buffer::kMagic || c.version != buffer::kVersion || packet_count_ == 0 ||
      packet_count_ > buffer::kMaxPackets || buffer::total_bytes(packet_count_) != bytes_) {
    ::munmap(memory, bytes_);
    ::close(fd);
    throw std::runtime_error("the snapshot is none, or of another version of the runtime");
  }
}

SharedMemory::~SharedMemory() {
  if (memory_ != nullptr) ::munmap(memory_, bytes_);
  if (fd_ >= 0) ::close(fd_);
}

std::optional<ReadyPacket> SharedMemory::check(std::uint32_t index, bool finished) const {
  const buffer::PacketDescriptor& d = reinterpret_cast<const buffer::PacketDescriptor*>(
      memory_ + buffer::states_offset(packet_count_))[index];
  const std::uint8_t* packet =
      memory_ + buffer::packets_offset(packet_count_) + std::uint64_t{index} * event::kPacketBytes;
  ReadyPacket ready;
  ready.index = index;
  ready.slot = d.thread_slot;
  ready.incarnation = d.incarnation;
  std::memcpy(&ready.header, packet, kHeaderBytes);
  if (ready.slot >= buffer::kMaxThreads || ready.header.magic != event::kCtfMagic) return std::nullopt;
  ready.events = packet + kHeaderBytes;
  const std::uint32_t content = finished ? content_of(d) : kMaxContent;
  ready.event_bytes = (content - kHeaderBytes) / 8 * 8;
  if (!finished) {
    const EventSpan span = scan_events(ready.events, ready.event_bytes, ready.header.timestamp_begin);
    ready.event_bytes = span.bytes;
    ready.header.timestamp_end = span.last_time;
  }
  std::copy(uuid_.begin(), uuid_.end(), ready.header.uuid);
  ready.header.stream_class = 0;
  ready.header.content_bits = (kHeaderBytes + std::uint64_t{ready.event_bytes}) * 8;
  ready.header.packet_bits = ready.header.content_bits;
  return ready;
}

std::optional<ReadyPacket> SharedMemory::take_queued() {
  auto* queue = reinterpret_cast<std::atomic<std::uint32_t>*>(memory_ + buffer::kQueueOffset);
  for (;;) {
    std::atomic<std::uint32_t>& place = queue[ticket_ % packet_count_];
    const std::uint32_t value = place.load(std::memory_order_acquire);
    if (value == 0) return std::nullopt;
    place.store(0, std::memory_order_relaxed);
    ++ticket_;
    if (value > packet_count_) continue;
    if (auto packet = check(value - 1, true)) return packet;
  }
}

std::vector<ReadyPacket> SharedMemory::take_rest() {
  std::vector<ReadyPacket> rest;
  const auto* descriptors =
      reinterpret_cast<const buffer::PacketDescriptor*>(memory_ + buffer::states_offset(packet_count_));
  for (std::uint32_t i = 0; i < packet_count_; ++i) {
    const std::uint32_t state = descriptors[i].state.load(std::memory_order_acquire);
    if (state == static_cast<std::uint32_t>(PacketState::kFree)) continue;
    if (auto packet = check(i, state == static_cast<std::uint32_t>(PacketState::kFull)))
      rest.push_back(*packet);
  }
  std::sort(rest.begin(), rest.end(), [](const ReadyPacket& a, const ReadyPacket& b) {
    return std::tuple(a.slot, a.incarnation, a.header.sequence) <
           std::tuple(b.slot, b.incarnation, b.header.sequence);
  });
  return rest;
}

void SharedMemory::release(const ReadyPacket& packet) {
  auto& d = reinterpret_cast<buffer::PacketDescriptor*>(memory_ +
                                                        buffer::states_offset(packet_count_))[packet.index];
  d.state.store(static_cast<std::uint32_t>(PacketState::kFree), std::memory_order_release);
  pool_.control().free_bits[packet.index / 64].fetch_or(std::uint64_t{1} << (packet.index % 64),
                                                        std::memory_order_release);
  auto& owner = reinterpret_cast<buffer::ThreadSlot*>(memory_ + buffer::kThreadSlotsOffset)[packet.slot];
  if (owner.incarnation.load(std::memory_order_relaxed) == packet.incarnation) {
    owner.packets_released.fetch_add(1, std::memory_order_release);
  }
  released_ = true;
}

std::optional<ReadyPacket> SharedMemory::look_at(std::uint32_t index) const {
  const buffer::PacketDescriptor& d = descriptor(index);
  const std::uint32_t state = d.state.load(std::memory_order_acquire);
  const bool full = state == static_cast<std::uint32_t>(PacketState::kFull);
  if (!full && state != static_cast<std::uint32_t>(PacketState::kWriting)) return std::nullopt;
  ReadyPacket ready;
  ready.index = index;
  ready.slot = d.thread_slot.load(std::memory_order_relaxed);
  ready.incarnation = d.incarnation.load(std::memory_order_relaxed);
  ready.full = full;
  const std::uint8_t* const packet = packet_bytes(index);
  std::memcpy(&ready.header, packet, kHeaderBytes);
  const event::PacketHeader& h = ready.header;
  if (ready.slot >= buffer::kMaxThreads || h.magic != event::kCtfMagic) return std::nullopt;
  // What of a header is not visible yet is zero, or all ones where a writer has set a packet aside.
  if (h.timestamp_begin == 0 || h.timestamp_end == 0 || h.tid == 0 ||
      h.packet_bits != event::kPacketBytes * 8)
    return std::nullopt;
  ready.events = packet + kHeaderBytes;
  const std::uint32_t content = full ? content_of(d) : kMaxContent;
  ready.event_bytes = (content - kHeaderBytes) / 8 * 8;
  return ready;
}

bool SharedMemory::still_same(const ReadyPacket& packet) const {
  std::atomic_thread_fence(std::memory_order_acquire);
  const buffer::PacketDescriptor& d = descriptor(packet.index);
  event::PacketHeader now;
  std::memcpy(&now, packet_bytes(packet.index), kHeaderBytes);
  return d.state.load(std::memory_order_relaxed) != static_cast<std::uint32_t>(PacketState::kFree) &&
         d.thread_slot.load(std::memory_order_relaxed) == packet.slot &&
         d.incarnation.load(std::memory_order_relaxed) == packet.incarnation &&
         now.magic == event::kCtfMagic && now.sequence == packet.header.sequence &&
         now.timestamp_begin == packet.header.timestamp_begin;
}

void SharedMemory::recycle(const ReadyPacket& packet) {
  std::memset(packet_bytes(packet.index), 0, event::kPacketBytes);
  release(packet);
}

void SharedMemory::announce_released() {
  if (!released_) return;
  released_ = false;
  buffer::Control& c = pool_.control();
  c.free_sequence.fetch_add(1, std::memory_order_seq_cst);
  if (c.waiters.load(std::memory_order_seq_cst) != 0) isa::futex_wake(&c.free_sequence, 1 << 30, true);
}

std::uint32_t SharedMemory::slots_used() const {
  return std::min<std::uint32_t>(pool_.control().slots_used.load(std::memory_order_acquire),
                                 buffer::kMaxThreads);
}

SlotView SharedMemory::slot(std::uint32_t index) const {
  const auto& s = reinterpret_cast<const buffer::ThreadSlot*>(memory_ + buffer::kThreadSlotsOffset)[index];
  SlotView view;
  view.tid = s.tid.load(std::memory_order_acquire);
  if (view.tid == 0) return view;
  view.ended = s.ended.load(std::memory_order_acquire) != 0;
  view.has_queued =
      pool_.control().on_full != buffer::OnFull::kFlight &&
      s.packets_claimed.load(std::memory_order_relaxed) != s.packets_released.load(std::memory_order_relaxed);
  view.incarnation = s.incarnation.load(std::memory_order_relaxed);
  char name[sizeof s.name];
  std::memcpy(name, s.name, sizeof name);
  view.name.assign(name, ::strnlen(name, sizeof name));
  for (std::size_t i = 0; i < view.discarded.size(); ++i) {
    view.discarded[i] = reinterpret_cast<const std::atomic<std::uint64_t>&>(s.discarded[i]).load();
  }
  return view;
}

void SharedMemory::free_slot(std::uint32_t index) {
  auto& s = reinterpret_cast<buffer::ThreadSlot*>(memory_ + buffer::kThreadSlotsOffset)[index];
  s.ended.store(0, std::memory_order_relaxed);
  // The next thread does this too, but only after its id can be seen here.
  for (std::uint64_t& count : s.discarded) reinterpret_cast<std::atomic<std::uint64_t>&>(count).store(0);
  s.tid.store(0, std::memory_order_release);
}

std::vector<std::pair<std::uint32_t, std::uint32_t>> SharedMemory::packet_owners() const {
  std::vector<std::pair<std::uint32_t, std::uint32_t>> owners;
  const auto* descriptors =
      reinterpret_cast<const buffer::PacketDescriptor*>(memory_ + buffer::states_offset(packet_count_));
  for (std::uint32_t i = 0; i < packet_count_; ++i) {
    const buffer::PacketDescriptor& d = descriptors[i];
    if (d.state.load(std::memory_order_acquire) == static_cast<std::uint32_t>(PacketState::kFree)) continue;
    owners.emplace_back(d.thread_slot.load(), d.incarnation.load());
  }
  return owners;
}

void SharedMemory::stop(event::DiscardReason reason) {
  buffer::Control& c = pool_.control();
  c.stopped.store(static_cast<std::uint32_t>(reason) + 1, std::memory_order_seq_cst);
  c.free_sequence.fetch_add(1, std::memory_order_seq_cst);
  isa::futex_wake(&c.free_sequence, 1 << 30, true);
}

std::uint64_t SharedMemory::slotless_discarded() const {
  return pool_.control().slotless_discarded.load(std::memory_order_relaxed);
}

std::uint64_t SharedMemory::overwritten() const {
  return pool_.control().overwritten.load(std::memory_order_relaxed);
}

void SharedMemory::wait(std::uint64_t timeout_ns, const std::atomic<bool>& unless) {
  buffer::Control& c = pool_.control();
  auto* queue = reinterpret_cast<std::atomic<std::uint32_t>*>(memory_ + buffer::kQueueOffset);
  const std::uint32_t seen = c.full_sequence.load(std::memory_order_seq_cst);
  c.tool_sleeps.store(1, std::memory_order_seq_cst);
  if (queue[ticket_ % packet_count_].load(std::memory_order_seq_cst) == 0 && !unless.load()) {
    isa::futex_wait(&c.full_sequence, seen, timeout_ns, true);
  }
  c.tool_sleeps.store(0, std::memory_order_relaxed);
}

void SharedMemory::end_wait() {
  buffer::Control& c = pool_.control();
  c.full_sequence.fetch_add(1, std::memory_order_seq_cst);
  isa::futex_wake(&c.full_sequence, 1, true);
}

void SharedMemory::tie_life_to_thread() {
  auto& life = pool_.control().tool_life;
  // Takes the place of libc's list: the thread uses no robust mutexes.
  robust_.list.next = &robust_entry_;
  robust_entry_.next = &robust_.list;
  robust_.futex_offset = reinterpret_cast<char*>(&life) - reinterpret_cast<char*>(&robust_entry_);
  ::syscall(SYS_set_robust_list, &robust_, sizeof robust_);  // fails only for a wrong size
  life.store(static_cast<std::uint32_t>(::syscall(SYS_gettid)));
  life.notify_all();
}

void SharedMemory::wait_until_tied() const { pool_.control().tool_life.wait(0); }

}  // namespace calltap::trace
