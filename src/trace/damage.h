// What was wrong with a stream. Reading goes on behind damage; these counts say what is missing.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace calltap::trace {

enum class DamageKind : std::uint8_t {
  kTruncated,        // the file ends within a packet
  kBadHeader,        // no packet where one should begin; bytes were skipped up to the next one
  kBadEvent,         // an event that cannot be: unknown kind, or cut off by the end of the packet's content
  kUnknownFunction,  // a function number that the description does not have
  kTimeBackwards,    // time before the previous event's, or after the packet's end
  kSequence,         // a packet number at or below its predecessor's
  kUnreadable,       // the file could not be opened or read
  kCount
};
inline constexpr std::size_t kDamageKinds = static_cast<std::size_t>(DamageKind::kCount);

/// A phrase for a user: "truncated stream".
std::string_view text(DamageKind kind);
/// A key for machines: "truncated".
std::string_view name(DamageKind kind);

struct Damage {
  std::array<std::uint64_t, kDamageKinds> occurrences{};
  std::uint64_t bytes_skipped = 0;  // neither packet nor event was read from them
  std::uint64_t bytes_missing = 0;  // of packets that the file does not hold to their end

  void note(DamageKind kind, std::uint64_t skipped = 0) {
    ++occurrences[static_cast<std::size_t>(kind)];
    bytes_skipped += skipped;
  }
  void add(const Damage& other) {
    for (std::size_t i = 0; i < kDamageKinds; ++i) occurrences[i] += other.occurrences[i];
    bytes_skipped += other.bytes_skipped;
    bytes_missing += other.bytes_missing;
  }
  [[nodiscard]] bool any() const { return occurrences != decltype(occurrences){}; }
};

}  // namespace calltap::trace
