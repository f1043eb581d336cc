// The one table of sled forms: what a compiler leaves at a function entry, and what becomes of it.
//
//                      pad              [landing pad]  unit
//   kJump  off         nop ...          [bti c]        nop
//          on          nop ...          [bti c]        b stub
//
//   kLandingJump
//          off         nop ...          [bti c]        nop           nop
//          prepared    nop ...          [bti c]        nop           bti c
//          on          nop ...          [bti c]        b stub        bti c
//
//   kCall  off         nop nop ...      [bti c]        nop           nop
//          prepared    literal          [bti c]        mov x9, lr    nop
//          on          literal          [bti c]        mov x9, lr    bl trampoline
//
// kJump can be done wherever there is a NOP: instructions are aligned words and stored as a whole. Its body
// begins behind that NOP. A trampoline comes there by BR or BLR, which a module with BTI allows at landing
// pads only: there kLandingJump makes one of the second NOP, and with it begins the body.
//
// kCall is what the kernel calls CALL_OPS; the literal is the last 8 bytes before the entry and has to be
// aligned. A thread may stand before the second NOP when the first one is written, and would come to a BL
// with something else in x9: so MOV is written while none can be there, and stays.
#pragma once

#include "isa/sled_words.h"

namespace calltap::isa::aarch64 {

enum class SledForm : std::uint8_t { kNone, kJump, kLandingJump, kCall, kCount };

using Sled = WordSled<SledForm>;

namespace sled_patterns {
inline constexpr Pattern kNop = {0xd503201f};
inline constexpr Pattern kBtiC = {0xd503245f};
inline constexpr Pattern kMovX9Link = {0xaa1e03e9};
inline constexpr Pattern kB = {0x14000000, 0xfc000000};
inline constexpr Pattern kBl = {0x94000000, 0xfc000000};
}  // namespace sled_patterns

// clang-format off
inline constexpr std::array<Sled, 3> kSleds = [] {
  using namespace sled_patterns;
  return std::array<Sled, 3>{{
      {SledForm::kJump, "nop", 4, 0, 1, 4,
       {{{4, kNop, kNop, kB}}}},
      {SledForm::kLandingJump, "nop; nop", 4, 0, 2, 4,
       {{{4, kNop, kNop,  kB},
         {4, kNop, kBtiC, kBtiC}}}},
      {SledForm::kCall, "nop; nop", 4, 8, 2, 8,
       {{{4, kNop, kMovX9Link, kMovX9Link},
         {4, kNop, kNop,       kBl}}}},
  }};
}();
// clang-format on

/// The table's row, nullptr for kNone.
constexpr const Sled* find_sled(SledForm form) {
  for (const Sled& sled : kSleds) {
    if (sled.form == form) return &sled;
  }
  return nullptr;
}

}  // namespace calltap::isa::aarch64
