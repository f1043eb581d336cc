// Decides how sites of AArch64 and RISC-V are switched, where the entry changes by whole, aligned words. The
// forms are those of isa/aarch64/sled_forms.h and isa/riscv64/sled_forms.h, which have the drawings.
//
//   kJump      one word becomes a jump: to the stub (AArch64), or to the pad and from there to the stub
//              (RISC-V)
//   kFarJump   two words, of which the first is written once, while no thread can stand between them
//   kCall      what the kernel calls CALL_OPS: the same two words as a call, and a literal before the entry
//
// A site gets the first of kJump and kFarJump that it has room for, and kCall besides where that fits.
#pragma once

#include <cstdint>
#include <span>

#include "plan/plan.h"
#include "site/elf_file.h"
#include "site/sites.h"

namespace calltap::plan {

/// The word that switches a site in one form. Offsets are from the unit.
struct WordForm {
  Method method = Method::kNone;
  /// Why the form does not fit; kNone when method is not kNone.
  site::SiteProblem problem = site::SiteProblem::kNone;
  std::uint8_t switch_offset = 0;
  std::uint8_t switch_bytes = 0;  // 2 or 4; the address is a multiple of it
  std::uint8_t body_offset = 0;
  bool prepared_once = false;  // the words up to the switch are written once, while no thread is between them
  bool landing_pad = false;    // the body's first word becomes one, once, at any time
};

struct WordPlan {
  WordForm jump;  // kJump or kFarJump
  WordForm call;  // kCall
};

/// Decides both from the bytes at the unit, at least entry_bytes of them, in any state of the site. `machine`
/// is not kX86_64. `needs_landing_pads`: ElfFile::needs_landing_pads() of its file. Any thread.
WordPlan classify_words(site::Machine machine, const site::Site& site,
                        std::span<const std::uint8_t> unit_bytes, bool needs_landing_pads);

}  // namespace calltap::plan
