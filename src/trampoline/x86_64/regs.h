// What handlers see of the program on x86-64. Include trampoline/regs.h instead.
#pragma once

#include <cstddef>
#include <cstdint>

#include "trampoline/clients.h"
#include "trampoline/x86_64/native_layout.h"

/// The program's registers, on the stack while handlers run.
struct ct_regs {
  std::uint64_t unwound_ip;               // with CT_REGS_UNWOUND
  const calltap::trampoline::OpSet* set;  // at the entry, for slow paths
  // With CT_REGS_NESTED: the guard, and its state from before.
  calltap::trampoline::Guard* guard;
  std::uint64_t saved_word;
  std::uint64_t reserved;
  std::uint32_t flags;
  std::uint32_t width;  // of the saved vector registers: 0, 16, 32 or 64 bytes
  std::uint64_t target;
  std::uint64_t parent;      // with CT_REGS_HAS_PARENT
  std::uint64_t unwound_sp;  // with CT_REGS_UNWOUND, when this is not below the return slot
  std::uint64_t r10;
  std::uint64_t r9;
  std::uint64_t r8;
  std::uint64_t rdi;
  calltap::trampoline::SiteRecord* record;  // at the entry
  std::uint64_t rsi;
  std::uint64_t rcx;
  std::uint64_t rdx;
  std::uint64_t rax;

  /// At the function's entry: where the return address is.
  [[nodiscard]] std::uint64_t sp() const {
    if ((flags & CT_REGS_UNWOUND) != 0) return unwound_sp;
    return reinterpret_cast<std::uint64_t>(this) + CT_REGS_OFFSET;
  }
  /// Of the call, at its entry. It may have been exchanged for the return point.
  [[nodiscard]] std::uint64_t return_address() const { return *reinterpret_cast<const std::uint64_t*>(sp()); }
};
static_assert(sizeof(ct_regs) == CT_REGS_BYTES);
static_assert(offsetof(ct_regs, set) == CT_REGS_SET);
static_assert(offsetof(ct_regs, guard) == CT_REGS_GUARD);
static_assert(offsetof(ct_regs, saved_word) == CT_REGS_SAVED_WORD);
static_assert(offsetof(ct_regs, flags) == CT_REGS_FLAGS);
static_assert(offsetof(ct_regs, width) == CT_REGS_WIDTH);
static_assert(offsetof(ct_regs, target) == CT_REGS_TARGET);
static_assert(offsetof(ct_regs, parent) == CT_REGS_PARENT);
static_assert(offsetof(ct_regs, unwound_sp) == CT_REGS_UNWOUND_SP);
static_assert(offsetof(ct_regs, r10) == CT_REGS_R10);
static_assert(offsetof(ct_regs, r9) == CT_REGS_R9);
static_assert(offsetof(ct_regs, r8) == CT_REGS_R8);
static_assert(offsetof(ct_regs, rdi) == CT_REGS_RDI);
static_assert(offsetof(ct_regs, record) == CT_REGS_R11);
static_assert(offsetof(ct_regs, rsi) == CT_REGS_RSI);
static_assert(offsetof(ct_regs, rcx) == CT_REGS_RCX);
static_assert(offsetof(ct_regs, rdx) == CT_REGS_RDX);
static_assert(offsetof(ct_regs, rax) == CT_REGS_RAX);

namespace calltap::trampoline {

/// Bytes that a call takes of the stack before its function begins.
inline constexpr std::uint64_t kReturnSlotBytes = 8;

inline constexpr unsigned kRegisterArguments = 6;
inline std::uint64_t& integer_argument(ct_regs& regs, unsigned n) {
  constexpr std::uint64_t ct_regs::*kWhere[kRegisterArguments] = {&ct_regs::rdi, &ct_regs::rsi, &ct_regs::rdx,
                                                                  &ct_regs::rcx, &ct_regs::r8,  &ct_regs::r9};
  return regs.*kWhere[n];
}
/// Of one that is returned in memory.
inline std::uint64_t result_address(ct_regs& regs) { return integer_argument(regs, 0); }
/// Of two.
inline std::uint64_t& result_word(ct_regs& regs, unsigned n) { return n == 0 ? regs.rax : regs.rdx; }
/// Of two, at an entry: what the call returns instead of running its function.
inline std::uint64_t& override_word(ct_regs& regs, unsigned n) { return result_word(regs, n); }

inline constexpr unsigned kVectorArguments = 8;
inline constexpr unsigned kVectorResults = 2;
/// Where it is saved, if any are.
inline void* vector_register(ct_regs& regs, unsigned n) {
  return reinterpret_cast<char*>(&regs) - CT_VECTORS_BYTES + n * CT_VECTOR_SLOT;
}
/// Bytes of each that are saved.
inline unsigned vector_bytes(const ct_regs& regs) { return regs.width & 0xffff; }
/// What a register that holds a `float` has above it.
inline constexpr std::uint32_t kAboveFloat = 0;

// Of the unwinder
inline constexpr int kFirstResultRegister = 0;  // rax
inline constexpr int kFrameRegister = 3;        // rbx: points to the call frame

}  // namespace calltap::trampoline
