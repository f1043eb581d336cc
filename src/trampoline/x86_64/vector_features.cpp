#include "trampoline/code.h"

namespace calltap::trampoline {
namespace {

struct CpuId {
  std::uint32_t a, b, c, d;
};

CpuId cpuid(std::uint32_t leaf, std::uint32_t part = 0) {
  CpuId r = {leaf, 0, part, 0};
  __asm__("cpuid" : "+a"(r.a), "=b"(r.b), "+c"(r.c), "=d"(r.d));
  return r;
}

}  // namespace

void detect_vectors() {
  // The low byte as XCR0 has it; the rest is for vectors.S.
  constexpr std::uint32_t kYmm = 4;
  constexpr std::uint32_t kAskXgetbv1 = 0x100;
  constexpr std::uint32_t kLookAtContents = 0x200;
  std::uint32_t& features = code().imports->vector_features;
  constexpr std::uint32_t kOsxsave = 1U << 27;
  if ((cpuid(1).c & kOsxsave) == 0) {
    features = 1;
    return;
  }
  std::uint32_t enabled = 0;
  std::uint32_t upper = 0;
  __asm__("xgetbv" : "=a"(enabled), "=d"(upper) : "c"(0));
  features = enabled & 0xff;
  constexpr std::uint32_t kXgetbv1 = 1U << 2;
  const bool has_xgetbv1 = (cpuid(0xd, 1).a & kXgetbv1) != 0;
  const bool is_slow = cpuid(0).c == 0x444d4163;  // "AuthenticAMD" ends so
  if (has_xgetbv1 && !is_slow) {
    features |= kAskXgetbv1;
  } else if ((enabled & kYmm) != 0) {
    features |= kLookAtContents;
  }
}

}  // namespace calltap::trampoline
