#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <random>
#include <utility>
#include <vector>

#include "plan/plan.h"

namespace calltap::plan {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr std::uint64_t kLowest = 0x10000;
constexpr std::uint64_t kHighest = 0x7ffffffff000;

bool is_free(Range text, std::int64_t displacement, const std::vector<Range>& used) {
  const std::int64_t begin = static_cast<std::int64_t>(text.begin) + 5 + displacement;
  const std::int64_t end =
      static_cast<std::int64_t>(text.end) + 5 + displacement + std::int64_t{kMirrorSlack};
  if (begin < std::int64_t{kLowest} || end > std::int64_t{kHighest}) return false;
  return std::none_of(used.begin(), used.end(), [&](Range r) {
    if (r.begin >= kHighest) return false;
    return begin < static_cast<std::int64_t>(r.end + kMirrorGuard) &&
           end > static_cast<std::int64_t>(r.begin) - std::int64_t{kMirrorGuardBelow};
  });
}

/// The same question answered by trying every displacement that has the bytes of the form, written out by
/// hand.
std::vector<std::int32_t> candidates(Form form) {
  std::vector<std::int32_t> all;
  const auto add = [&](std::uint32_t bits) { all.push_back(static_cast<std::int32_t>(bits)); };
  const std::uint32_t one_byte[] = {0x90, 0xf8, 0xf9, 0xf5, 0xfc};
  switch (form) {
    case Form::kOneByteNops:
      for (auto a : one_byte)
        for (auto b : one_byte)
          for (auto c : one_byte)
            for (auto d : one_byte) add(a << 24 | b << 16 | c << 8 | d);
      break;
    case Form::kNopl44:
    case Form::kNopl80:
    case Form::kNopl84:
      for (std::uint32_t high = 0; high < 0x10000; ++high) {
        add(high << 16 | (form == Form::kNopl44 ? 0x441fu : form == Form::kNopl80 ? 0x801fu : 0x841fu));
      }
      break;
    default:
      for (std::uint32_t high = 0; high < 0x100; ++high) {
        add(high << 24 | (form == Form::kNopw44 ? 0x441f0fu : 0x841f0fu));
      }
  }
  std::sort(all.begin(), all.end(), [](std::int64_t a, std::int64_t b) { return std::abs(a) < std::abs(b); });
  return all;
}

std::int32_t brute_force(Form form, Range text, const std::vector<Range>& used) {
  static const auto kCandidates = [] {
    std::array<std::vector<std::int32_t>, kForms> all;
    for (std::size_t i = 0; i < kForms; ++i) all[i] = candidates(static_cast<Form>(i));
    return all;
  }();
  for (const std::int32_t d : kCandidates[static_cast<std::size_t>(form)]) {
    if (is_free(text, d, used)) return d;
  }
  return 0;
}

constexpr Form kMirrorForms[] = {Form::kOneByteNops, Form::kNopl44, Form::kNopl80,
                                 Form::kNopl84,      Form::kNopw44, Form::kNopw84};

/// A random address space: clusters of mappings, a module among them, stack and vsyscall at the top.
std::vector<Range> random_maps(std::mt19937_64& random, Range module) {
  std::vector<Range> maps{module, {0x7ffc00000000, 0x7ffc00021000}, {0xffffffffff600000, 0xffffffffff601000}};
  const unsigned count = static_cast<unsigned>(random() % 60);
  const std::uint64_t spread = std::uint64_t{1} << (26 + random() % 7);
  for (unsigned i = 0; i < count; ++i) {
    const std::uint64_t near = module.begin + random() % spread - spread / 2;
    const Range r{near & ~std::uint64_t{0xfff},
                  (near + 0x1000 + random() % (64 * kMiB)) & ~std::uint64_t{0xfff}};
    const bool overlaps =
        std::any_of(maps.begin(), maps.end(), [&](Range m) { return r.begin < m.end && m.begin < r.end; });
    if (!overlaps && r.begin < r.end && r.end < kHighest) maps.push_back(r);
  }
  std::sort(maps.begin(), maps.end(), [](Range a, Range b) { return a.begin < b.begin; });
  return maps;
}

TEST(ChooseDisplacement, IsTheNearestThatIsFree) {
  std::mt19937_64 random(11);
  unsigned found = 0;
  unsigned none = 0;
  for (unsigned round = 0; round < 300; ++round) {
    const std::uint64_t bases[] = {0x400000, 0x10000000, 0x555500000000, 0x7f0000000000, 0x7fff00000000};
    const std::uint64_t base = bases[random() % std::size(bases)] + (random() % 1000) * 0x1000;
    const Range module{base, base + 0x2000 + (random() % (30 * kMiB) & ~std::uint64_t{0xfff})};
    const Range text{module.begin + 0x1000, module.end - 0x10};
    const std::vector<Range> maps = random_maps(random, module);
    for (const Form form : kMirrorForms) {
      const std::int32_t got = choose_displacement(form, text, maps);
      ASSERT_EQ(got, brute_force(form, text, maps))
          << "round " << round << " form " << static_cast<int>(form);
      ASSERT_TRUE(got == 0 || displacement_fits(form, got));
      ++(got == 0 ? none : found);
    }
  }
  EXPECT_GT(found, 500u);
  EXPECT_GT(none, 50u);
}

TEST(ChooseDisplacement, TheMirrorNeedsItsGuardsAndSlackToTheByte) {
  const Range text{0x555555555000, 0x5555555f0000};
  const std::int32_t downward = -0x06060607;  // F9 F9 F9 F9
  const std::int32_t upward = 0x2000441f;
  for (const auto& [form, d] : {std::pair{Form::kOneByteNops, downward}, std::pair{Form::kNopl44, upward}}) {
    const std::uint64_t distance = static_cast<std::uint64_t>(std::int64_t{d});
    const std::uint64_t low = text.begin + 5 + distance - kMirrorGuard;
    const std::uint64_t high = text.end + 5 + distance + 16 + kMirrorGuardBelow;
    const auto choose = [&, f = form](std::uint64_t used_below, std::uint64_t used_above) {
      return choose_displacement(f, text, std::vector<Range>{{kLowest, used_below}, {used_above, kHighest}});
    };
    EXPECT_EQ(choose(low, high), d);
    EXPECT_EQ(choose(low + 1, high), 0);
    EXPECT_EQ(choose(low, high - 1), 0);
  }
}

TEST(ChooseDisplacement, PieHasRoomBelow) {
  const std::vector<Range> maps{{0x555555554000, 0x555555600000}, {0x555555700000, 0x555556000000}};
  const std::int32_t d = choose_displacement(Form::kOneByteNops, {0x555555555000, 0x5555555f0000}, maps);
  EXPECT_EQ(d, -0x03030304);  // FC FC FC FC
}

TEST(ChooseDisplacement, NonPieHasNoneOfOneByteInstructions) {
  const std::vector<Range> maps{{0x400000, 0x500000}, {0x700000, 0x900000}};
  const Range text{0x401000, 0x480000};
  EXPECT_EQ(choose_displacement(Form::kOneByteNops, text, maps), 0);
  const std::int32_t d = choose_displacement(Form::kNopl44, text, maps);
  EXPECT_GT(d, 0);
  EXPECT_GE(text.begin + 5 + static_cast<std::uint64_t>(d), maps.back().end + kMirrorGuard);
}

TEST(ChooseDisplacement, NothingWhereEverythingIsUsed) {
  const std::vector<Range> maps{{0x10000, 0x7ffffffff000}};
  for (const Form form : kMirrorForms)
    EXPECT_EQ(choose_displacement(form, {0x500000000, 0x500100000}, maps), 0);
}

TEST(ChooseDisplacement, FormsWithoutAMirrorGetNone) {
  const std::vector<Range> maps{{0x555555554000, 0x555555600000}};
  for (const Form form : {Form::kNone, Form::kTwoByteNop, Form::kOtherNop}) {
    EXPECT_EQ(choose_displacement(form, {0x555555555000, 0x555555556000}, maps), 0);
  }
}

}  // namespace
}  // namespace calltap::plan
