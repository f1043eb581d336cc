#include "ops/originals.h"

#include <atomic>
#include <cstddef>

namespace calltap::ops {
namespace {

// Written under the engine's lock, read without: the body belongs to the address if this is there before and
// after the body is read.
struct Entry {
  std::atomic<std::uint64_t> address;
  std::atomic<std::uint64_t> body;
};
constexpr std::size_t kEntries = 1024;
Entry entries[kEntries];

Entry& place_of(std::uint64_t address) {
  return entries[(address >> 4 ^ address >> 14) % kEntries];  // functions are mostly aligned to 16
}

}  // namespace

std::uint64_t remembered_original(std::uint64_t address) {
  const Entry& entry = place_of(address);
  if (address == 0 || entry.address.load(std::memory_order_acquire) != address) return 0;
  const std::uint64_t body = entry.body.load(std::memory_order_acquire);
  return entry.address.load(std::memory_order_relaxed) == address ? body : 0;
}

void remember_original(std::uint64_t address, std::uint64_t body) {
  Entry& entry = place_of(address);
  entry.address.store(0, std::memory_order_relaxed);
  entry.body.store(body, std::memory_order_release);
  entry.address.store(address, std::memory_order_release);
}

void forget_originals() {
  for (Entry& entry : entries) entry.address.store(0, std::memory_order_release);
}

}  // namespace calltap::ops
