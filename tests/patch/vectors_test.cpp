// Keeping vector registers around handlers, in each of the ways that processors allow: what is in use is
// asked for, or found out from the registers' contents.
#include <cpuid.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>

#include "trampoline/code.h"

extern "C" {
void ct_save_vectors();
void ct_restore_vectors();
void ct_save_results();
void ct_restore_results();
using Round = std::uint32_t(void* registers, void* area, void (*save)(), void (*restore)());
Round round_xmm, round_ymm, round_zmm;
}

namespace calltap::trampoline {
namespace {

constexpr std::uint32_t kYmm = 4;
constexpr std::uint32_t kZmm = 0x40;
constexpr std::uint32_t kAskXgetbv1 = 0x100;
constexpr std::uint32_t kLookAtContents = 0x200;
constexpr std::size_t kRegisters = 8;

struct alignas(64) Registers {
  std::array<std::uint8_t, kRegisters* CT_VECTOR_SLOT> bytes = {};
};
struct alignas(64) Area {
  std::array<std::uint8_t, CT_VECTORS_BYTES> bytes = {};
};

bool has_xgetbv1() {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  return __get_cpuid_count(0xd, 1, &a, &b, &c, &d) != 0 && (a & 4) != 0;
}

Registers filled(std::size_t width) {
  Registers r;
  for (std::size_t n = 0; n < kRegisters; ++n) {
    for (std::size_t i = 0; i < width; ++i) {
      r.bytes[n * CT_VECTOR_SLOT + i] = static_cast<std::uint8_t>(n * 31 + i + 1);
    }
  }
  return r;
}

/// The processor's features with one way of finding out; the way is what the parameter says.
class Vectors : public testing::TestWithParam<std::uint32_t> {
 protected:
  void SetUp() override {
    detect_vectors();
    std::uint32_t& features = code().imports->vector_features;
    detected_ = features;
    if ((features & kYmm) == 0) GTEST_SKIP() << "the processor has no 256-bit registers";
    if (GetParam() == kAskXgetbv1 && !has_xgetbv1()) {
      GTEST_SKIP() << "the processor has no XGETBV with 1";
    }
    features = (features & 0xff) | GetParam();
  }
  void TearDown() override { code().imports->vector_features = detected_; }

  [[nodiscard]] bool has_zmm() const { return (detected_ & kZmm) != 0; }

 private:
  std::uint32_t detected_ = 0;
};

void check_kept(Round* round, std::size_t filled_bytes, std::uint32_t width) {
  Registers registers = filled(filled_bytes);
  const Registers before = registers;
  Area area;
  EXPECT_EQ(round(&registers, &area, ct_save_vectors, ct_restore_vectors) & 0xffff, width);
  EXPECT_EQ(registers.bytes, before.bytes);
}

TEST_P(Vectors, KeptAtTheWidthInUse) {
  check_kept(round_xmm, 16, 16);
  check_kept(round_ymm, 32, 32);
  if (has_zmm()) check_kept(round_zmm, 64, 64);
}

TEST_P(Vectors, EachRegisterAloneIsSeen) {
  for (std::size_t n = 0; n < kRegisters; ++n) {
    Registers registers;
    registers.bytes[n * CT_VECTOR_SLOT + 31] = 1;
    const Registers before = registers;
    Area area;
    EXPECT_EQ(round_ymm(&registers, &area, ct_save_vectors, ct_restore_vectors) & 0xffff, 32U);
    EXPECT_EQ(registers.bytes, before.bytes) << n;
    if (!has_zmm()) continue;
    registers.bytes[n * CT_VECTOR_SLOT + 31] = 0;
    registers.bytes[n * CT_VECTOR_SLOT + 63] = 1;
    const Registers wide = registers;
    EXPECT_EQ(round_zmm(&registers, &area, ct_save_vectors, ct_restore_vectors) & 0xffff, 64U);
    EXPECT_EQ(registers.bytes, wide.bytes) << n;
  }
}

TEST_P(Vectors, ResultsAreKept) {
  Registers registers = filled(32);
  const Registers before = registers;
  Area area;
  EXPECT_EQ(round_ymm(&registers, &area, ct_save_results, ct_restore_results) & 0xffff, 32U);
  EXPECT_EQ(std::memcmp(registers.bytes.data(), before.bytes.data(), 32), 0);
  EXPECT_EQ(std::memcmp(registers.bytes.data() + CT_VECTOR_SLOT, before.bytes.data() + CT_VECTOR_SLOT, 32),
            0);
}

TEST(VectorContents, EmptyUpperPartsAreNotKept) {
  detect_vectors();
  std::uint32_t& features = code().imports->vector_features;
  if ((features & kYmm) == 0) GTEST_SKIP() << "the processor has no 256-bit registers";
  const std::uint32_t detected = features;
  features = (features & 0xff) | kLookAtContents;
  check_kept(round_ymm, 16, 16);
  if ((detected & kZmm) != 0) check_kept(round_zmm, 32, 32);
  features = detected;
}

INSTANTIATE_TEST_SUITE_P(Ways, Vectors, testing::Values(kAskXgetbv1, kLookAtContents),
                         [](const auto& way) { return way.param == kAskXgetbv1 ? "asked" : "looked_at"; });

}  // namespace
}  // namespace calltap::trampoline
