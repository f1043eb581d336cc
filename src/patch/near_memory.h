// Memory that code can reach with few bytes: near a module, or in the lower 4 GiB.
#pragma once

#include <cstdint>

#include "base/array.h"
#include "base/error.h"
#include "plan/plan.h"

namespace calltap::patch {

/// How far a jump goes.
struct Reach {
  std::uint64_t bytes = 0;
  std::uint64_t user_end = 0;  // where the addresses of user space end
};
/// x86-64's 32 bits, less what keeps clear of the limit.
inline constexpr Reach kRel32Reach = {(std::uint64_t{1} << 31) - (std::uint64_t{1} << 20), 0x7ffffffff000};

/// Maps `size` bytes (a multiple of the page size), readable and writable, as near to `around` as it finds
/// room, and so that both ends of `around` reach all of it. `used` is the memory map, and gets the new range.
/// Errors: kNoRoomInReach, kOutOfMemory.
base::Result<std::uint64_t> map_near(plan::Range around, std::uint64_t size, Reach reach,
                                     base::Array<plan::Range>& used);

/// The same at one address. Errors: kNoRoomInReach if it is taken, kOutOfMemory.
base::Result<std::uint64_t> map_at(std::uint64_t address, std::uint64_t size, base::Array<plan::Range>& used);

/// Maps `size` bytes at a random place between 1 and 4 MiB, below every program that is linked at the usual
/// addresses: what is there can be named by a 32-bit number, and no heap grows towards it. `used` is the
/// memory map, and gets the new range. Under the text lock. Errors: kNoRoomInReach, also where a program lies
/// there; kOutOfMemory.
base::Result<std::uint64_t> map_low(std::uint64_t size, base::Array<plan::Range>& used);

/// Takes the write permission away and gives the right to execute: pages are never both. Errors:
/// kMemoryProtect.
base::Result<void> make_executable(std::uint64_t address, std::uint64_t size);

}  // namespace calltap::patch
