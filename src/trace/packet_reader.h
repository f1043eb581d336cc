// Reads the packets of one stream file, one after the other, through a buffer of fixed size.
//
// The file is untrusted: every header is checked before it is believed. Where no packet begins, the reader
// looks for the next one; it always moves forward and ends at the end of the file.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

#include "event/event_layout.h"
#include "trace/damage.h"

namespace calltap::trace {

struct Packet {
  event::PacketHeader header{};
  std::span<const std::byte>
      events;  // whole 8-byte words, 8-byte aligned; valid until the next call of next()
};

/// Move-only owner of the file. One thread at a time.
class PacketReader {
 public:
  /// Few system calls, and what was read is still in the second-level cache when it is decoded.
  static constexpr std::size_t kBufferPackets = 4;

  /// A file that cannot be opened is damage (kUnreadable) and has no packets.
  PacketReader(const std::filesystem::path& file, const std::array<std::uint8_t, 16>& uuid,
               std::size_t buffer_packets = kBufferPackets);
  PacketReader(PacketReader&& other) noexcept;
  PacketReader& operator=(PacketReader&&) = delete;
  ~PacketReader();

  /// False at the end of the stream.
  bool next(Packet& packet);

  [[nodiscard]] const Damage& damage() const { return damage_; }
  /// Bytes of the file consumed so far.
  [[nodiscard]] std::uint64_t offset() const { return file_offset_; }

 private:
  [[nodiscard]] std::size_t available() const { return end_ - begin_; }
  bool fill(std::size_t bytes);
  void consume(std::size_t bytes);
  [[nodiscard]] bool plausible(const event::PacketHeader& header) const;
  bool find_header(event::PacketHeader& header);
  void skip_to_magic();

  int fd_ = -1;
  bool at_end_ = false;
  std::array<std::uint8_t, 16> uuid_;
  std::size_t buffer_bytes_;
  std::unique_ptr<std::uint64_t[]> buffer_;  // words, for alignment
  std::size_t begin_ = 0;                    // unread part of the buffer, in bytes
  std::size_t end_ = 0;
  std::uint64_t file_offset_ = 0;
  Damage damage_;
};

}  // namespace calltap::trace
