// Room near a module, where the process has more mapped than its map shows.
#include "patch/near_memory.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstdint>

namespace calltap::patch {
namespace {

// An emulator hides its own mappings, and another thread may have mapped something since the map was read.
TEST(NearMemory, LooksFurtherAwayFromWhatTheMapDoesNotShow) {
  constexpr std::uint64_t kSize = std::uint64_t{48} << 20;
  void* hidden = mmap(nullptr, kSize, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  ASSERT_NE(hidden, MAP_FAILED);
  const std::uint64_t middle = reinterpret_cast<std::uint64_t>(hidden) + kSize / 2;
  base::Array<plan::Range> used;
  ASSERT_TRUE(used.push_back({middle, middle + 4096}));
  const Reach reach = {std::uint64_t{120} << 20, std::uint64_t{1} << 47};
  const auto found = map_near({middle, middle + 4096}, 8192, reach, used);
  ASSERT_TRUE(found.ok());
  EXPECT_LT(*found > middle ? *found - middle : middle - *found, reach.bytes);
  munmap(reinterpret_cast<void*>(*found), 8192);
  munmap(hidden, kSize);
}

}  // namespace
}  // namespace calltap::patch
