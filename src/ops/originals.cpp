#include "ops/originals.h"

#include <atomic>
#include <cstddef>

namespace calltap::ops {
namespace {

// An entry is one word, so that it is read whole: the function's address below, and above it how far its body
// is.
constexpr int kAddressBits = 48;
constexpr std::uint64_t kAddressMask = (std::uint64_t{1} << kAddressBits) - 1;
constexpr std::size_t kEntries = 1024;
std::atomic<std::uint64_t> entries[kEntries];

std::atomic<std::uint64_t>& place_of(std::uint64_t entry) {
  return entries[(entry >> 4 ^ entry >> 14) % kEntries];  // functions are mostly aligned to 16
}

}  // namespace

std::uint64_t remembered_original(std::uint64_t entry) {
  const std::uint64_t word = place_of(entry).load(std::memory_order_acquire);
  return word != 0 && (word & kAddressMask) == entry ? entry + (word >> kAddressBits) : 0;
}

void remember_original(std::uint64_t entry, std::uint64_t body) {
  const std::uint64_t distance = body - entry;
  if (entry > kAddressMask || distance >> (64 - kAddressBits) != 0) return;
  place_of(entry).store(entry | distance << kAddressBits, std::memory_order_release);
}

void forget_originals() {
  for (auto& entry : entries) entry.store(0, std::memory_order_release);
}

}  // namespace calltap::ops
