#include "runtime/snapshot.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "base/array.h"
#include "isa/system.h"

namespace calltap::runtime {
namespace {

namespace native = isa::native;
using base::Error;
using base::ErrorCode;
using base::Result;

/// What says whose a packet is, and which of theirs.
struct Identity {
  std::uint32_t state = 0;
  std::uint32_t slot = 0;
  std::uint32_t incarnation = 0;
  std::uint32_t content_bytes = 0;
  std::uint32_t kept_order = 0;
  std::uint64_t sequence = 0;
  std::uint64_t begin = 0;

  friend bool operator==(const Identity&, const Identity&) = default;
};

Identity identify(buffer::Pool pool, std::uint32_t index) {
  const buffer::PacketDescriptor& d = pool.descriptor(index);
  const event::PacketHeader& h = pool.header(index);
  Identity id;
  id.state = d.state.load(std::memory_order_acquire);
  id.slot = d.thread_slot.load(std::memory_order_relaxed);
  id.incarnation = d.incarnation.load(std::memory_order_relaxed);
  id.content_bytes = __atomic_load_n(&d.content_bytes, __ATOMIC_RELAXED);
  id.kept_order = d.kept_order.load(std::memory_order_relaxed);
  id.sequence = __atomic_load_n(&h.sequence, __ATOMIC_RELAXED);
  id.begin = __atomic_load_n(&h.timestamp_begin, __ATOMIC_RELAXED);
  return id;
}

/// Copies memory to the same place in the file.
bool write_at(int fd, const void* from, std::size_t bytes, std::uint64_t offset) {
  const auto* at = static_cast<const std::uint8_t*>(from);
  while (bytes != 0) {
    const long n = native::system_call(SYS_pwrite64, fd, reinterpret_cast<long>(at), static_cast<long>(bytes),
                                       static_cast<long>(offset));
    if (n <= 0) return false;
    at += n;
    offset += static_cast<std::uint64_t>(n);
    bytes -= static_cast<std::size_t>(n);
  }
  return true;
}

bool is_free(const Identity& id) {
  return id.state == static_cast<std::uint32_t>(buffer::PacketState::kFree);
}

/// How much of a packet that is being written is there. What is behind an event's first word was written
/// before that, so it must also be copied after that was seen.
std::size_t written_bytes(const std::uint8_t* packet) {
  const auto* at = reinterpret_cast<const std::uint64_t*>(packet + sizeof(event::PacketHeader));
  const auto* const end = reinterpret_cast<const std::uint64_t*>(packet + event::kPacketBytes);
  while (at < end && __atomic_load_n(at, __ATOMIC_ACQUIRE) != 0) {
    const auto word = [at](std::size_t i) { return __atomic_load_n(at + i, __ATOMIC_RELAXED); };
    const std::size_t words = event::event_words(word, static_cast<std::size_t>(end - at));
    if (words == 0) break;
    at += words;
  }
  return static_cast<std::size_t>(reinterpret_cast<const std::uint8_t*>(at) - packet);
}

/// The packet as it is, and what it was then; kFree if it could not be had.
bool copy_packet(buffer::Pool pool, std::uint32_t index, int fd, Identity& copied) {
  constexpr int kTries = 3;
  copied = {};
  for (int i = 0; i < kTries; ++i) {
    const Identity before = identify(pool, index);
    if (is_free(before)) return true;
    const std::uint64_t offset = pool.control().packets_offset + std::uint64_t{index} * event::kPacketBytes;
    const bool full = before.state == static_cast<std::uint32_t>(buffer::PacketState::kFull);
    const std::size_t bytes = full ? event::kPacketBytes : written_bytes(pool.packet(index));
    if (!write_at(fd, pool.packet(index), bytes, offset)) return false;
    // Not what an earlier try has left there.
    constexpr std::uint64_t kEnd = 0;
    if (bytes < event::kPacketBytes && !write_at(fd, &kEnd, sizeof kEnd, offset + bytes)) return false;
    std::atomic_thread_fence(std::memory_order_acquire);
    if (identify(pool, index) != before) continue;
    copied = before;
    return true;
  }
  return true;
}

bool copy_all(buffer::Pool pool, int fd) {
  const std::uint32_t count = pool.control().packet_count;
  base::Array<Identity> copied;
  if (!copied.resize(count)) return false;
  for (std::uint32_t i = 0; i < count; ++i) {
    if (!copy_packet(pool, i, fd, copied[i])) return false;
  }
  const auto* base = reinterpret_cast<const std::uint8_t*>(&pool.control());
  if (!write_at(fd, base, buffer::states_offset(count), 0)) return false;
  for (std::uint32_t i = 0; i < count; ++i) {
    const Identity& id = copied[i];
    if (is_free(id)) continue;  // zero, as the file was made
    const std::uint32_t words[] = {id.state, id.slot, id.incarnation, id.content_bytes, id.kept_order};
    static_assert(sizeof words == sizeof(buffer::PacketDescriptor));
    static_assert(static_cast<std::uint32_t>(buffer::PacketState::kFree) == 0);
    if (!write_at(fd, words, sizeof words, buffer::states_offset(count) + i * sizeof words)) return false;
  }
  return true;
}

}  // namespace

Result<int> copy_buffers(buffer::Pool pool) {
  const long fd = native::system_call(SYS_memfd_create, reinterpret_cast<long>("calltap-snapshot"),
                                      MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (isa::is_error(fd)) return Error(ErrorCode::kOutOfMemory, static_cast<int>(-fd));
  const std::uint64_t bytes = buffer::total_bytes(pool.control().packet_count);
  const long sized = native::system_call(SYS_ftruncate, fd, static_cast<long>(bytes));
  if (!isa::is_error(sized) && copy_all(pool, static_cast<int>(fd))) {
    // The tool maps nothing that could become shorter.
    native::system_call(SYS_fcntl, fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    return static_cast<int>(fd);
  }
  native::system_call(SYS_close, fd);
  return ErrorCode::kOutOfMemory;
}

}  // namespace calltap::runtime
