// What handlers see of the program on RISC-V. Include trampoline/regs.h instead.
#pragma once

#include <cstddef>
#include <cstdint>

#include "trampoline/clients.h"
#include "trampoline/riscv64/native_layout.h"

/// The program's registers, on the stack while handlers run.
struct ct_regs {
  std::uint64_t unwound_ip;               // with CT_REGS_UNWOUND; with CT_REGS_OVERRIDE the first word
  const calltap::trampoline::OpSet* set;  // at the entry, for slow paths
  calltap::trampoline::Guard* guard;
  std::uint64_t saved_word;                 // with CT_REGS_NESTED: the guard's state from before
  calltap::trampoline::SiteRecord* record;  // at the entry
  std::uint32_t flags;
  std::uint32_t width;  // of the saved vector registers: 0 or CT_VECTOR_BYTES
  std::uint64_t target;
  std::uint64_t parent;      // with CT_REGS_HAS_PARENT
  std::uint64_t unwound_sp;  // with CT_REGS_UNWOUND, when this is not below the caller's stack; with
                             // CT_REGS_OVERRIDE the second word
  std::uint64_t t2_to_t6[5];
  std::uint64_t a[8];  // at the exit only the first two
  std::uint64_t body;  // at the entry, where a call has left it in a register (CALL_OPS)
  std::uint64_t reserved;
  // A frame record, as s0 chains them.
  std::uint64_t frame_pointer;
  std::uint64_t ra;

  /// At the function's entry.
  [[nodiscard]] std::uint64_t sp() const {
    if ((flags & CT_REGS_UNWOUND) != 0) return unwound_sp;
    return reinterpret_cast<std::uint64_t>(this) + CT_REGS_OFFSET;
  }
  /// Of the call, at its entry.
  [[nodiscard]] std::uint64_t return_address() const { return ra; }
};
static_assert(sizeof(ct_regs) == CT_REGS_BYTES && CT_REGS_BYTES % 16 == 0 && CT_VECTORS_BYTES % 16 == 0);
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
static_assert(offsetof(ct_regs, t2_to_t6) == CT_REGS_T2);
static_assert(offsetof(ct_regs, a) == CT_REGS_A0);
static_assert(offsetof(ct_regs, body) == CT_REGS_BODY);
static_assert(offsetof(ct_regs, frame_pointer) == CT_REGS_FP);
static_assert(offsetof(ct_regs, ra) == CT_REGS_RA);

namespace calltap::trampoline {

/// Bytes that a call takes of the stack before its function begins.
inline constexpr std::uint64_t kReturnSlotBytes = 0;

inline constexpr unsigned kRegisterArguments = 8;
inline std::uint64_t& integer_argument(ct_regs& regs, unsigned n) { return regs.a[n]; }
/// Of one that is returned in memory.
inline std::uint64_t result_address(ct_regs& regs) { return integer_argument(regs, 0); }
/// Of two.
inline std::uint64_t& result_word(ct_regs& regs, unsigned n) { return regs.a[n]; }
/// Of two, at an entry: what the call returns instead of running its function.
inline std::uint64_t& override_word(ct_regs& regs, unsigned n) {
  return n == 0 ? regs.unwound_ip : regs.unwound_sp;
}

inline constexpr unsigned kVectorArguments = CT_VECTORS;
inline constexpr unsigned kVectorResults = 2;
/// Bytes of each that are saved.
inline unsigned vector_bytes(const ct_regs& regs) { return regs.width; }
/// Where it is saved, if any are.
inline void* vector_register(ct_regs& regs, unsigned n) {
  return reinterpret_cast<char*>(&regs) - (CT_VECTORS - n) * CT_VECTOR_BYTES;
}
/// What a register that holds a `float` has above it: it is "NaN-boxed".
inline constexpr std::uint32_t kAboveFloat = 0xffffffff;

// Of the unwinder
inline constexpr int kFirstResultRegister = 10;  // a0
inline constexpr int kFrameRegister = 9;         // s1: points to the call frame

}  // namespace calltap::trampoline
