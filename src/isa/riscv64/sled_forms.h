// The one table of sled forms: what a compiler leaves at a function entry, and what becomes of it. Each form
// is there twice, for NOPs of the C extension and for others.
//
//                         pad                       unit
//   kJump     off         c.nop ...                 c.nop
//             prepared    auipc t1; jr (t1)         c.nop
//             on          auipc t1; jr (t1)         c.j pad
//
//   kFarJump  off                                   c.nop x 2      c.nop x 2
//             prepared                              auipc t1       nop
//             on                                    auipc t1       jr (t1)
//
//   kCall     off         c.nop ...                 c.nop x 2      c.nop x 2
//             prepared    literal                   auipc t0       nop
//             on          literal                   auipc t0       jalr t0, (t0)
//
// kJump can be done at any entry: what is stored is as long as the NOP it replaces. No thread executes the
// pad while the entry is a NOP. The others need an entry at a multiple of 4, for the second word to be stored
// as a whole, and change what threads may stand in the middle of: they are prepared while none can be there,
// and stay so. After that a thread before the second word has been through AUIPC, and its register is right.
//
// kCall is what the kernel calls CALL_OPS; the literal is the last 8 bytes before the entry and has to be
// aligned. AUIPC is written once, so all that a site calls is within the 4 KiB that JALR then reaches.
#pragma once

#include "isa/sled_words.h"

namespace calltap::isa::riscv64 {

enum class SledForm : std::uint8_t { kNone, kJump, kFarJump, kCall, kCount };

using Sled = WordSled<SledForm>;

namespace sled_patterns {
inline constexpr Pattern kCNop = {0x0001};
inline constexpr Pattern kCNops = {0x00010001};
inline constexpr Pattern kNop = {0x00000013};
inline constexpr Pattern kCJ = {0xa001, 0xe003};
inline constexpr Pattern kJ = {0x0000006f, 0x00000fff};  // JAL zero
inline constexpr Pattern kAuipcT0 = {0x00000297, 0x00000fff};
inline constexpr Pattern kAuipcT1 = {0x00000317, 0x00000fff};
inline constexpr Pattern kCallT0 = {0x000282e7, 0x000fffff};  // JALR t0, (t0)
inline constexpr Pattern kJumpT1 = {0x00030067, 0x000fffff};  // JALR zero, (t1)
}  // namespace sled_patterns

// clang-format off
inline constexpr std::array<Sled, 6> kSleds = [] {
  using namespace sled_patterns;
  return std::array<Sled, 6>{{
      {SledForm::kJump, "c.nop", 2, 8, 1, 2,
       {{{2, kCNop, kCNop, kCJ}}}},
      {SledForm::kJump, "nop", 4, 8, 1, 4,
       {{{4, kNop, kNop, kJ}}}},
      {SledForm::kFarJump, "c.nop; c.nop; c.nop; c.nop", 2, 0, 2, 8,
       {{{4, kCNops, kAuipcT1, kAuipcT1},
         {4, kCNops, kNop,     kJumpT1}}}},
      {SledForm::kFarJump, "nop; nop", 4, 0, 2, 8,
       {{{4, kNop,   kAuipcT1, kAuipcT1},
         {4, kNop,   kNop,     kJumpT1}}}},
      {SledForm::kCall, "c.nop; c.nop; c.nop; c.nop", 2, 8, 2, 8,
       {{{4, kCNops, kAuipcT0, kAuipcT0},
         {4, kCNops, kNop,     kCallT0}}}},
      {SledForm::kCall, "nop; nop", 4, 8, 2, 8,
       {{{4, kNop,   kAuipcT0, kAuipcT0},
         {4, kNop,   kNop,     kCallT0}}}},
  }};
}();
// clang-format on

/// The table's row for an entry whose first NOP is this long, nullptr for kNone.
constexpr const Sled* find_sled(SledForm form, unsigned first_nop_bytes) {
  for (const Sled& sled : kSleds) {
    if (sled.form == form && sled.first_nop_bytes == first_nop_bytes) return &sled;
  }
  return nullptr;
}

}  // namespace calltap::isa::riscv64
