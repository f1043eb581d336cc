// What handlers see of the program on AArch64. Include trampoline/regs.h instead.
#pragma once

#include <cstddef>
#include <cstdint>

#include "trampoline/aarch64/native_layout.h"
#include "trampoline/clients.h"

/// The program's registers, on the stack while handlers run.
struct ct_regs {
  // A frame record, as x29 chains them.
  std::uint64_t frame_pointer;
  std::uint64_t link;
  calltap::trampoline::Guard* guard;
  std::uint32_t flags;
  std::uint32_t width;  // of the saved vector registers: 0, or their length in bytes, | CT_WIDTH_SVE
  calltap::trampoline::SiteRecord* record;  // at the entry
  std::uint64_t x18;
  std::uint64_t x[9];        // at the exit only the first two
  std::uint64_t body;        // at the entry, where a call has left it in a register (CALL_OPS)
  std::uint64_t unwound_ip;  // with CT_REGS_UNWOUND; with CT_REGS_OVERRIDE the first word
  std::uint64_t unwound_sp;  // with CT_REGS_UNWOUND, when this is not below the caller's stack; with
                             // CT_REGS_OVERRIDE the second word
  const calltap::trampoline::OpSet* set;  // at the entry, for slow paths
  std::uint64_t saved_word;               // with CT_REGS_NESTED: the guard's state from before
  std::uint64_t target;
  std::uint64_t parent;  // with CT_REGS_HAS_PARENT

  /// At the function's entry.
  [[nodiscard]] std::uint64_t sp() const {
    if ((flags & CT_REGS_UNWOUND) != 0) return unwound_sp;
    return reinterpret_cast<std::uint64_t>(this) + CT_REGS_OFFSET;
  }
  /// Of the call, at its entry.
  [[nodiscard]] std::uint64_t return_address() const { return link; }
};
static_assert(sizeof(ct_regs) == CT_REGS_BYTES && CT_REGS_BYTES % 16 == 0);
static_assert(offsetof(ct_regs, unwound_ip) == CT_REGS_UNWOUND_IP);
static_assert(offsetof(ct_regs, set) == CT_REGS_SET);
static_assert(offsetof(ct_regs, guard) == CT_REGS_GUARD);
static_assert(offsetof(ct_regs, saved_word) == CT_REGS_SAVED_WORD);
static_assert(offsetof(ct_regs, record) == CT_REGS_RECORD);
static_assert(offsetof(ct_regs, flags) == CT_REGS_FLAGS);
static_assert(offsetof(ct_regs, width) == CT_REGS_WIDTH);
static_assert(offsetof(ct_regs, target) == CT_REGS_TARGET);
static_assert(offsetof(ct_regs, parent) == CT_REGS_PARENT);
static_assert(offsetof(ct_regs, unwound_sp) == CT_REGS_UNWOUND_SP);
static_assert(offsetof(ct_regs, x18) == CT_REGS_X18);
static_assert(offsetof(ct_regs, x) == CT_REGS_X0);
static_assert(CT_REGS_X8 == CT_REGS_X0 + 64);
static_assert(offsetof(ct_regs, body) == CT_REGS_BODY);
static_assert(offsetof(ct_regs, frame_pointer) == CT_REGS_FP);
static_assert(offsetof(ct_regs, link) == CT_REGS_LR);

namespace calltap::trampoline {

/// Bytes that a call takes of the stack before its function begins.
inline constexpr std::uint64_t kReturnSlotBytes = 0;

inline constexpr unsigned kRegisterArguments = 8;
inline std::uint64_t& integer_argument(ct_regs& regs, unsigned n) { return regs.x[n]; }
/// Of one that is returned in memory.
inline std::uint64_t result_address(ct_regs& regs) { return regs.x[8]; }
/// Of two.
inline std::uint64_t& result_word(ct_regs& regs, unsigned n) { return regs.x[n]; }
/// Of two, at an entry: what the call returns instead of running its function.
inline std::uint64_t& override_word(ct_regs& regs, unsigned n) {
  return n == 0 ? regs.unwound_ip : regs.unwound_sp;
}

inline constexpr unsigned kVectorArguments = CT_VECTORS;
inline constexpr unsigned kVectorResults = 4;
/// Bytes of each that are saved.
inline unsigned vector_bytes(const ct_regs& regs) { return regs.width & 0xffff; }
/// Where it is saved, if any are.
inline void* vector_register(ct_regs& regs, unsigned n) {
  const unsigned before = (CT_VECTORS - n) * vector_bytes(regs);
  return reinterpret_cast<char*>(&regs) - before;
}
/// What a register that holds a `float` has above it.
inline constexpr std::uint32_t kAboveFloat = 0;

// Of the unwinder
inline constexpr int kFirstResultRegister = 0;  // x0
inline constexpr int kFrameRegister = 19;       // x19: points to the call frame

}  // namespace calltap::trampoline
