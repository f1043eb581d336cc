#include "patch/near_memory.h"

#include <sys/mman.h>

#include "isa/system.h"
#include "patch/memory_map.h"

namespace calltap::patch {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr std::uint64_t kLowest = 0x10000;
// Leave room where a heap grows up and a stack grows down.
constexpr std::uint64_t kGuard = std::uint64_t{1} << 20;

/// The place in the gap [begin, end) that is nearest to `around`, 0 if none is in reach.
std::uint64_t place_in_gap(std::uint64_t begin, std::uint64_t end, plan::Range around, std::uint64_t size,
                           Reach reach) {
  const std::uint64_t low = around.end > reach.bytes ? around.end - reach.bytes : kLowest;
  const std::uint64_t high =
      around.begin + reach.bytes < reach.user_end ? around.begin + reach.bytes : reach.user_end;
  const std::uint64_t page = page_bytes();
  if (begin < low) begin = (low + page - 1) & ~(page - 1);
  if (end > high) end = high & ~(page - 1);
  if (begin >= end || end - begin < size) return 0;
  return end <= around.begin ? end - size : begin;
}

std::uint64_t distance(std::uint64_t place, plan::Range around) {
  return place < around.begin ? around.begin - place : place - around.begin;
}

}  // namespace

Result<std::uint64_t> map_at(std::uint64_t address, std::uint64_t size, base::Array<plan::Range>& used) {
  const long result = isa::native::system_call(
      SYS_mmap, static_cast<long>(address), static_cast<long>(size), PROT_READ | PROT_WRITE,
      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
  if (isa::is_error(result)) return Error(ErrorCode::kNoRoomInReach, static_cast<int>(-result), address);
  if (static_cast<std::uint64_t>(result) !=
      address) {  // a kernel that does not know the flag took it as a hint
    isa::native::system_call(SYS_munmap, result, static_cast<long>(size));
    return Error(ErrorCode::kNoRoomInReach, 0, address);
  }
  if (!add_range(used, {address, address + size})) {
    isa::native::system_call(SYS_munmap, result, static_cast<long>(size));
    return ErrorCode::kOutOfMemory;
  }
  return address;
}

Result<std::uint64_t> map_near(plan::Range around, std::uint64_t size, Reach reach,
                               base::Array<plan::Range>& used) {
  std::uint64_t around_failure = 0;
  for (int attempt = 0; attempt < 16; ++attempt) {
    std::uint64_t best = 0;
    std::uint64_t previous_end = kLowest;
    for (std::size_t i = 0; i <= used.size(); ++i) {
      const std::uint64_t gap_end = i < used.size() ? used[i].begin : reach.user_end;
      const std::uint64_t begin = previous_end + kGuard;
      const std::uint64_t end = gap_end > kGuard ? gap_end - kGuard : 0;
      if (begin < end) {
        const std::uint64_t place = place_in_gap(begin, end, around, size, reach);
        if (place != 0 && (best == 0 || distance(place, around) < distance(best, around))) best = place;
      }
      if (i < used.size() && used[i].end > previous_end) previous_end = used[i].end;
    }
    if (best == 0) break;
    auto mapped = map_at(best, size, used);
    if (mapped) return mapped;
    // Another thread mapped something there since the map was read, or the map does not show it: an emulator
    // hides its own. How far it goes nobody says, so each step away from it is longer than the one before.
    const std::uint64_t below = best > around_failure ? best - around_failure : 0;
    if (!add_range(used, {below, best + size + around_failure})) return ErrorCode::kOutOfMemory;
    around_failure = around_failure == 0 ? kGuard : around_failure * 2;
  }
  return Error(ErrorCode::kNoRoomInReach, 0, around.begin);
}

Result<std::uint64_t> map_low(std::uint64_t size, base::Array<plan::Range>& used) {
  constexpr std::uint64_t kBegin = std::uint64_t{1} << 20;
  constexpr std::uint64_t kEnd = std::uint64_t{4} << 20;
  // What lies there before us is the program itself, and its heap grows up from it.
  static const bool is_free = used.empty() || used[0].begin >= kEnd;
  if (!is_free || size >= kEnd - kBegin) return Error(ErrorCode::kNoRoomInReach, 0, kBegin);
  // The loader places the stack at random, so this needs no system call, which a program may have forbidden
  // itself.
  std::uint64_t random = reinterpret_cast<std::uint64_t>(&random) >> 4;
  for (int attempt = 0; attempt < 8; ++attempt) {
    random = random * 0x9e3779b97f4a7c15 + 1;
    const std::uint64_t place =
        kBegin + (random >> 32) % ((kEnd - kBegin - size) / page_bytes()) * page_bytes();
    if (auto mapped = map_at(place, size, used)) return mapped;
  }
  return Error(ErrorCode::kNoRoomInReach, 0, kBegin);
}

Result<void> make_executable(std::uint64_t address, std::uint64_t size) {
  const long result = isa::native::system_call(SYS_mprotect, static_cast<long>(address),
                                               static_cast<long>(size), PROT_READ | PROT_EXEC);
  if (isa::is_error(result)) return Error(ErrorCode::kMemoryProtect, static_cast<int>(-result), address);
  return {};
}

}  // namespace calltap::patch
