#include "trace/packet_reader.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace calltap::trace {

using event::PacketHeader;

PacketReader::PacketReader(const std::filesystem::path& file, const std::array<std::uint8_t, 16>& uuid,
                           std::size_t buffer_packets)
    : fd_(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)),
      uuid_(uuid),
      buffer_bytes_(buffer_packets * event::kPacketBytes) {
  if (fd_ < 0) {
    damage_.note(DamageKind::kUnreadable);
    at_end_ = true;
    return;
  }
  buffer_ = std::make_unique_for_overwrite<std::uint64_t[]>(buffer_bytes_ / sizeof(std::uint64_t));
}

PacketReader::PacketReader(PacketReader&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      at_end_(other.at_end_),
      uuid_(other.uuid_),
      buffer_bytes_(other.buffer_bytes_),
      buffer_(std::move(other.buffer_)),
      begin_(other.begin_),
      end_(other.end_),
      file_offset_(other.file_offset_),
      damage_(other.damage_) {}

PacketReader::~PacketReader() {
  if (fd_ >= 0) ::close(fd_);
}

/// True when at least `bytes` are in the buffer; less only at the end of the file.
bool PacketReader::fill(std::size_t bytes) {
  if (available() >= bytes) return true;
  if (at_end_) return false;
  auto* const base = reinterpret_cast<std::byte*>(buffer_.get());
  // Damage may have left the packets at any offset of the file: moving them to the front aligns them again.
  std::memmove(base, base + begin_, available());
  end_ -= begin_;
  begin_ = 0;
  while (end_ < buffer_bytes_) {
    const ssize_t n = ::read(fd_, base + end_, buffer_bytes_ - end_);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) damage_.note(DamageKind::kUnreadable);
    if (n <= 0) {
      at_end_ = true;
      break;
    }
    end_ += static_cast<std::size_t>(n);
  }
  return available() >= bytes;
}

void PacketReader::consume(std::size_t bytes) {
  begin_ += bytes;
  file_offset_ += bytes;
}

bool PacketReader::plausible(const PacketHeader& h) const {
  constexpr std::uint64_t kWordBits = 64;
  return h.magic == event::kCtfMagic && std::memcmp(h.uuid, uuid_.data(), uuid_.size()) == 0 &&
         h.stream_class == 0 && h.packet_bits % kWordBits == 0 && h.content_bits % kWordBits == 0 &&
         h.content_bits >= sizeof(PacketHeader) * 8 && h.packet_bits >= h.content_bits &&
         h.packet_bits <= event::kPacketBytes * 8 && h.timestamp_begin <= h.timestamp_end;
}

/// Skips to the next place that may begin a packet, at least one byte on.
void PacketReader::skip_to_magic() {
  const std::uint32_t magic = event::kCtfMagic;
  std::uint64_t skipped = 0;
  std::size_t step = 1;
  while (true) {
    consume(step);
    skipped += step;
    if (!fill(sizeof(PacketHeader))) {
      skipped += available();
      consume(available());
      break;
    }
    const auto* const from = reinterpret_cast<const char*>(buffer_.get()) + begin_;
    const void* const found = ::memmem(from, available(), &magic, sizeof magic);
    step = found != nullptr ? static_cast<std::size_t>(static_cast<const char*>(found) - from)
                            : available() - (sizeof magic - 1);
    if (step == 0) break;
  }
  damage_.bytes_skipped += skipped;
}

/// Stops at a plausible header, which is not consumed. False at the end of the file.
bool PacketReader::find_header(PacketHeader& header) {
  for (bool lost = false;; lost = true) {
    if (!fill(sizeof header)) {
      if (available() > 0) {
        damage_.note(DamageKind::kTruncated);
        damage_.bytes_missing += sizeof header - available();
        consume(available());
      }
      return false;
    }
    std::memcpy(&header, reinterpret_cast<const std::byte*>(buffer_.get()) + begin_, sizeof header);
    if (plausible(header)) return true;
    if (!lost) damage_.note(DamageKind::kBadHeader);
    skip_to_magic();
  }
}

bool PacketReader::next(Packet& packet) {
  if (!find_header(packet.header)) return false;
  const std::size_t bytes = packet.header.packet_bits / 8;
  std::size_t content = packet.header.content_bits / 8;
  std::size_t taken = bytes;
  if (!fill(bytes)) {
    // Either the end of the file is missing, or this header's size is a lie and whole packets follow: then
    // they are found by looking for the next magic number behind this header.
    damage_.note(DamageKind::kTruncated);
    const auto* const from = reinterpret_cast<const char*>(buffer_.get()) + begin_ + sizeof(PacketHeader);
    const std::size_t rest = available() - sizeof(PacketHeader);
    const void* const found =
        ::memmem(from, rest, &packet.header, sizeof packet.header.magic + sizeof packet.header.uuid);
    taken = sizeof(PacketHeader) +
            (found != nullptr ? static_cast<std::size_t>(static_cast<const char*>(found) - from) : rest);
    content = std::min(content, taken / 8 * 8);
    if (found == nullptr) damage_.bytes_missing += bytes - taken;
  }
  if (begin_ % sizeof(std::uint64_t) != 0) {
    auto* const base = reinterpret_cast<std::byte*>(buffer_.get());
    std::memmove(base, base + begin_, available());
    end_ -= begin_;
    begin_ = 0;
  }
  const auto* const start = reinterpret_cast<const std::byte*>(buffer_.get()) + begin_;
  packet.events = {start + sizeof(PacketHeader), content - sizeof(PacketHeader)};
  consume(taken);
  return true;
}

}  // namespace calltap::trace
