// Which distances a form can jump over, and which of them leads to free address space.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <limits>

#include "isa/x86_64/encode.h"
#include "plan/plan.h"

namespace calltap::plan {
namespace {

namespace isa = isa::x86_64;
using isa::ByteRule;
using isa::Sled;

/// vm.mmap_min_addr as every distribution has it, and the end of the 47-bit user half.
constexpr std::int64_t kLowestMappable = 0x10000;
constexpr std::int64_t kHighestMappable = 0x7ffffffff000;

/// A closed range of displacements.
struct Interval {
  std::int64_t low = 0;
  std::int64_t high = -1;
};

constexpr std::size_t kHarmlessCount = isa::kHarmlessInstructions.size();
constexpr std::size_t kOneByteDisplacements =
    kHarmlessCount * kHarmlessCount * kHarmlessCount * kHarmlessCount;

/// Every rel32 of four harmless instructions, ascending. All are negative: each of the five has its top bit
/// set.
constexpr std::array<std::int32_t, kOneByteDisplacements> kHarmlessDisplacements = [] {
  std::array<std::int32_t, kOneByteDisplacements> all{};
  for (std::size_t i = 0; i < all.size(); ++i) {
    std::uint32_t bits = 0;
    for (std::size_t byte = 0, rest = i; byte < 4; ++byte, rest /= kHarmlessCount) {
      bits = bits << 8 | isa::kHarmlessInstructions[rest % kHarmlessCount];
    }
    all[i] = static_cast<std::int32_t>(bits);
  }
  std::sort(all.begin(), all.end());
  return all;
}();
static_assert(kHarmlessDisplacements.back() < 0);

std::int32_t nearest_harmless(Interval allowed) {
  const auto* above =
      std::upper_bound(kHarmlessDisplacements.begin(), kHarmlessDisplacements.end(), allowed.high);
  if (above == kHarmlessDisplacements.begin() || above[-1] < allowed.low) return 0;
  return above[-1];
}

/// The other forms fix the low bytes of rel32 and leave the high ones free: an arithmetic progression.
struct Progression {
  std::int64_t first = 0;  // 0 <= first < step
  std::int64_t step = 1;   // a power of two
};

Progression progression(const Sled& sled) {
  Progression p;
  for (std::size_t i = 1; i < isa::kJmpRel32Bytes && sled.bytes[i].rule == ByteRule::kFixed; ++i) {
    p.first += p.step * sled.bytes[i].off;
    p.step <<= 8;
  }
  return p;
}

/// Zero is never in `allowed`: the mirror would lie upon the module.
std::int32_t nearest_in(Progression p, Interval allowed) {
  const bool upward = allowed.low > 0;
  const std::int64_t from = upward ? allowed.low + p.step - 1 : allowed.high;
  const std::int64_t found = ((from - p.first) & -p.step) + p.first;
  if (found < allowed.low || found > allowed.high) return 0;
  return static_cast<std::int32_t>(found);
}

std::int32_t nearest(const Sled& sled, Interval allowed) {
  allowed.low = std::max<std::int64_t>(allowed.low, std::numeric_limits<std::int32_t>::min());
  allowed.high = std::min<std::int64_t>(allowed.high, std::numeric_limits<std::int32_t>::max());
  if (allowed.low > allowed.high) return 0;
  return sled.form == Form::kOneByteNops ? nearest_harmless(allowed) : nearest_in(progression(sled), allowed);
}

/// The displacements that put the mirror of `text` between `low` and `high`.
Interval displacements_into(std::int64_t low, std::int64_t high, Range text) {
  constexpr std::int64_t kJump = isa::kJmpRel32Bytes;
  return {low - static_cast<std::int64_t>(text.begin) - kJump,
          high - static_cast<std::int64_t>(text.end + kMirrorSlack) - kJump};
}

std::int64_t clamp_to_user_space(std::uint64_t address) {
  return static_cast<std::int64_t>(std::min(address, std::uint64_t{kHighestMappable}));
}

}  // namespace

bool displacement_fits(Form form, std::int32_t displacement) {
  const Sled* sled = isa::find_sled(form);
  if (sled == nullptr || sled->length < isa::kJmpRel32Bytes) return false;
  for (std::size_t i = 1; i < isa::kJmpRel32Bytes; ++i) {
    if (!isa::obeys(sled->bytes[i], isa::displacement_byte(displacement, i))) return false;
  }
  return true;
}

std::int32_t choose_displacement(Form form, Range text, std::span<const Range> used) {
  const Sled* sled = isa::find_sled(form);
  if (sled == nullptr || sled->length < isa::kJmpRel32Bytes) return 0;

  std::int32_t best = 0;
  const auto consider = [&](std::int64_t low, std::int64_t high) {
    const std::int64_t found = nearest(*sled, displacements_into(low, high, text));
    if (found != 0 && (best == 0 || std::abs(found) < std::abs(std::int64_t{best}))) {
      best = static_cast<std::int32_t>(found);
    }
  };
  std::int64_t free_from = kLowestMappable;
  for (const Range& range : used) {
    consider(free_from, clamp_to_user_space(range.begin) - std::int64_t{kMirrorGuardBelow});
    free_from = std::max(free_from, clamp_to_user_space(range.end) + std::int64_t{kMirrorGuard});
  }
  consider(free_from, kHighestMappable);
  return best;
}

}  // namespace calltap::plan
