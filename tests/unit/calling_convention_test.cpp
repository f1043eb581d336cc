// Which registers parameters come in, against what the ABIs' documents say.
#include "cli/calling_convention.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace calltap::cli {
namespace {

using Class = PassedType::Class;
using Place = trace::Parameter::Place;

PassedType integer(std::uint64_t bytes = 8) { return {Class::kInteger, bytes, false, {}}; }
PassedType floating(std::uint64_t bytes = 8) { return {Class::kFloat, bytes, false, {}}; }
PassedType by_reference() { return {Class::kByReference, 40, false, {}}; }
PassedType unknown() { return {}; }
PassedType aggregate(std::uint64_t bytes, std::vector<PassedType::Field> fields) {
  return {Class::kAggregate, bytes, false, std::move(fields)};
}
PassedType long_double() { return {Class::kFloat, 16, true, {}}; }

const PassedType kTwoDoubles = aggregate(16, {{0, 8, true}, {8, 8, true}});
const PassedType kDoubleAndInt = aggregate(16, {{0, 8, true}, {8, 4, false}});
const PassedType kIntAndFloat = aggregate(8, {{0, 4, false}, {4, 4, true}});
const PassedType kThreeInts = aggregate(12, {{0, 4, false}, {4, 4, false}, {8, 4, false}});
const PassedType kLarge = aggregate(40, {{0, 8, false}});
const PassedType kFourDoubles = aggregate(32, {{0, 8, true}, {8, 8, true}, {16, 8, true}, {24, 8, true}});
const PassedType kOpaque = aggregate(16, {});

/// "i0 f0 -": where each of them is.
std::string passed(Architecture architecture, const std::vector<PassedType>& types,
                   const PassedType* result = nullptr) {
  CallingConvention convention(architecture);
  if (result != nullptr) convention.returns(*result);
  std::string text;
  for (const PassedType& type : types) {
    const auto where = convention.pass(type);
    if (!text.empty()) text += ' ';
    text += where.place == Place::kNone ? "-" : where.place == Place::kInteger ? "i" : "f";
    if (where.place != Place::kNone) text += std::to_string(where.index);
  }
  return text;
}

TEST(CallingConvention, X86) {
  const auto x = Architecture::kX86_64;
  EXPECT_EQ(passed(x, {integer(), floating(), integer(1), floating(4)}), "i0 f0 i1 f1");
  EXPECT_EQ(passed(x, std::vector<PassedType>(8, integer())), "i0 i1 i2 i3 i4 i5 - -");
  EXPECT_EQ(passed(x, {kTwoDoubles, integer(), floating()}), "- i0 f2");
  EXPECT_EQ(passed(x, {kDoubleAndInt, integer(), floating()}), "- i1 f1");
  EXPECT_EQ(passed(x, {kIntAndFloat, integer(), floating()}), "- i1 f0") << "one word of both is an integer";
  EXPECT_EQ(passed(x, {kThreeInts, integer()}), "- i2");
  EXPECT_EQ(passed(x, {kLarge, integer()}), "- i0") << "on the stack";
  EXPECT_EQ(passed(x, {by_reference(), integer()}), "- i1");
  EXPECT_EQ(passed(x, {long_double(), floating()}), "- f0");
  EXPECT_EQ(passed(x, {integer(16), integer()}), "- i2");
  const auto five = integer();
  EXPECT_EQ(passed(x, {five, five, five, five, five, kThreeInts, integer()}), "i0 i1 i2 i3 i4 - i5")
      << "what does not fit leaves the last register to others";
  EXPECT_EQ(passed(x, {integer()}, &kLarge), "i1");
  EXPECT_EQ(passed(x, {integer()}, &kThreeInts), "i0");
}

TEST(CallingConvention, AArch64) {
  const auto a = Architecture::kAArch64;
  EXPECT_EQ(passed(a, std::vector<PassedType>(9, integer())), "i0 i1 i2 i3 i4 i5 i6 i7 -");
  EXPECT_EQ(passed(a, {kFourDoubles, floating(), integer()}), "- f4 i0");
  EXPECT_EQ(passed(a, {kDoubleAndInt, integer(), floating()}), "- i2 f0");
  EXPECT_EQ(passed(a, {kLarge, integer()}), "- i1") << "its address";
  EXPECT_EQ(passed(a, {integer(), integer(16), integer()}), "i0 - i4")
      << "in a pair that begins with an even one";
  EXPECT_EQ(passed(a, {floating(16), floating()}), "- f1");
  const auto one = integer();
  EXPECT_EQ(passed(a, {one, one, one, one, one, one, one, kThreeInts, integer()}), "i0 i1 i2 i3 i4 i5 i6 - -")
      << "what does not fit is the last one that asks";
  EXPECT_EQ(passed(a, {integer()}, &kLarge), "i0") << "x8 has the result's address";
}

TEST(CallingConvention, RiscV) {
  const auto r = Architecture::kRiscV64;
  EXPECT_EQ(passed(r, {integer(), floating(4), integer()}), "i0 f0 i1");
  EXPECT_EQ(passed(r, {kTwoDoubles, floating()}), "- f2");
  EXPECT_EQ(passed(r, {kDoubleAndInt, integer(), floating()}), "- i1 f1");
  EXPECT_EQ(passed(r, {kThreeInts, integer()}), "- i2");
  EXPECT_EQ(passed(r, {kFourDoubles, integer(), floating()}), "- i1 f0") << "its address";
  EXPECT_EQ(passed(r, {floating(16), integer()}), "- i2");
  EXPECT_EQ(passed(r, std::vector<PassedType>(9, floating())), "f0 f1 f2 f3 f4 f5 f6 f7 i0");
  EXPECT_EQ(passed(r, {integer()}, &kLarge), "i1");
}

TEST(CallingConvention, ClaimsNothingBehindWhatIsUnknown) {
  for (const auto architecture : {Architecture::kX86_64, Architecture::kAArch64, Architecture::kRiscV64}) {
    EXPECT_EQ(passed(architecture, {integer(), unknown(), integer(), floating()}), "i0 - - -");
    EXPECT_EQ(passed(architecture, {integer(), kOpaque, integer()}), "i0 - -");
  }
  const PassedType nobody_knows = unknown();
  EXPECT_EQ(passed(Architecture::kX86_64, {integer()}, &nobody_knows), "-");
  EXPECT_EQ(passed(Architecture::kUnknown, {integer()}), "-");
}

}  // namespace
}  // namespace calltap::cli
