#include "inject/x86_64/signal_frame.h"

#include <cpuid.h>
#include <ucontext.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace calltap::inject {
namespace {

// arch/x86/include/uapi/asm/sigcontext.h and ucontext.h, which cannot be included beside glibc's.
constexpr std::uint64_t kVectorsAreExtended = 1;
constexpr std::uint64_t kHasStackSegment = 2 | 4;  // UC_SIGCONTEXT_SS, UC_STRICT_RESTORE_SS
constexpr std::uint32_t kMagicBefore = 0x46505853;
constexpr std::uint32_t kMagicBehind = 0x46505845;
constexpr std::size_t kSoftwareBytesAt = 464;
constexpr std::size_t kHeaderAt = 512;
constexpr std::size_t kLegacyBytes = 576;  // FXSAVE's area and XSAVE's header
constexpr std::uint64_t kMaskAt = offsetof(ucontext_t, uc_sigmask);

/// No such flag: the kernel then leaves the alternate signal stack as it is, and says nothing.
constexpr int kNoStackChange = 0x40;

struct SoftwareBytes {
  std::uint32_t magic;
  std::uint32_t extended_size;
  std::uint64_t features;
  std::uint32_t size;
};

/// Where the components in `features` end in XSAVE's standard format.
std::size_t vector_bytes(std::uint64_t features) {
  std::size_t end = kLegacyBytes;
  for (unsigned feature = 2; feature < 63; ++feature) {
    if ((features >> feature & 1) == 0) continue;
    unsigned size = 0;
    unsigned offset = 0;
    unsigned c = 0;
    unsigned d = 0;
    __cpuid_count(0xD, feature, size, offset, c, d);
    end = std::max<std::size_t>(end, offset + size);
  }
  return end;
}

std::uint64_t features_in_use(const std::vector<std::uint8_t>& vectors) {
  std::uint64_t features = 0;
  std::memcpy(&features, vectors.data() + kHeaderAt, sizeof features);
  return features | 3;  // x87 and SSE: what FXSAVE's area has
}

/// XSAVE's area is aligned to 64 bytes.
std::uint64_t vectors_address(std::uint64_t address) {
  return (address + kMaskAt + 8 + 63) & ~std::uint64_t{63};
}

}  // namespace

std::size_t signal_frame_bytes(const std::vector<std::uint8_t>& vectors) {
  return kMaskAt + 8 + 64 + vector_bytes(features_in_use(vectors)) + sizeof kMagicBehind;
}

std::size_t signal_frame_found(std::uint64_t address, const std::vector<std::uint8_t>& bytes) {
  ucontext_t context{};
  SoftwareBytes software{};
  const std::size_t vectors_at = vectors_address(address) - address;
  if (bytes.size() < vectors_at + kLegacyBytes) return 0;
  std::memcpy(&context, bytes.data(), kMaskAt);
  std::memcpy(&software, bytes.data() + vectors_at + kSoftwareBytesAt, sizeof software);
  const bool is_ours = context.uc_flags == (kVectorsAreExtended | kHasStackSegment) &&
                       context.uc_stack.ss_flags == kNoStackChange &&
                       reinterpret_cast<std::uint64_t>(context.uc_mcontext.fpregs) == address + vectors_at &&
                       software.magic == kMagicBefore;
  return is_ours ? vectors_at + software.extended_size : 0;
}

std::vector<std::uint8_t> signal_frame(std::uint64_t address, const user_regs_struct& registers,
                                       std::uint64_t signal_mask, const std::vector<std::uint8_t>& vectors) {
  const std::uint64_t features = features_in_use(vectors);
  const std::size_t size = vector_bytes(features);
  const std::uint64_t vectors_at = vectors_address(address);

  ucontext_t context{};
  context.uc_flags = kVectorsAreExtended | kHasStackSegment;
  context.uc_stack.ss_flags = kNoStackChange;
  auto& general = context.uc_mcontext.gregs;
  auto set = [&](int number, std::uint64_t value) { general[number] = static_cast<greg_t>(value); };
  set(REG_R8, registers.r8);
  set(REG_R9, registers.r9);
  set(REG_R10, registers.r10);
  set(REG_R11, registers.r11);
  set(REG_R12, registers.r12);
  set(REG_R13, registers.r13);
  set(REG_R14, registers.r14);
  set(REG_R15, registers.r15);
  set(REG_RDI, registers.rdi);
  set(REG_RSI, registers.rsi);
  set(REG_RBP, registers.rbp);
  set(REG_RBX, registers.rbx);
  set(REG_RDX, registers.rdx);
  set(REG_RAX, registers.rax);
  set(REG_RCX, registers.rcx);
  set(REG_RSP, registers.rsp);
  set(REG_RIP, registers.rip);
  set(REG_EFL, registers.eflags);
  set(REG_CSGSFS, registers.cs | registers.ss << 48);
  context.uc_mcontext.fpregs = reinterpret_cast<fpregset_t>(vectors_at);

  std::vector<std::uint8_t> frame(vectors_at - address + size + sizeof kMagicBehind);
  std::memcpy(frame.data(), &context, kMaskAt);
  std::memcpy(frame.data() + kMaskAt, &signal_mask, sizeof signal_mask);
  std::uint8_t* area = frame.data() + (vectors_at - address);
  std::memcpy(area, vectors.data(), std::min(size, vectors.size()));
  const SoftwareBytes software{kMagicBefore, static_cast<std::uint32_t>(size + sizeof kMagicBehind), features,
                               static_cast<std::uint32_t>(size)};
  std::memset(area + kSoftwareBytesAt, 0, kHeaderAt - kSoftwareBytesAt);
  std::memcpy(area + kSoftwareBytesAt, &software, sizeof software);
  std::memcpy(area + size, &kMagicBehind, sizeof kMagicBehind);
  return frame;
}

}  // namespace calltap::inject
