// Decide how each site of a module is switched on and off. Pure: no system call, no memory but the arguments.
// The patcher (patch/) carries a plan out; `calltap list` prints it.
//
// Every method but the last toggles ONE byte of the entry, `off_byte` <-> `on_byte`. All other bytes it needs
// at the entry are `prepare` bytes: each may be written alone, at any time, with threads running, because
// every mixture of old and new ones still executes as NOPs (and flag changes, which are dead at a function
// entry).
//
//   kPad     at least 5 pad bytes before the entry, 2 at it. On: `EB d8` to entry-5, where `E9 rel32` goes to
//   the
//            stub. d8 is F9 (stc) without a landing pad, F5 (cmc) behind a 4-byte one: both harmless one-byte
//            instructions, also behind the prefix 66.
//              off 90 90 / 66 90    prepared 90 F9 / 66 F9    on EB F9
//            With 9 pad bytes and no landing pad, and a record in the lower 4 GiB, `EB F5` goes to the stub
//            itself at entry-9.
//   kMirror  5 bytes at the entry and no pad. On: `E9 rel32` with the same rel32 for all sites of the module
//   that
//            have this form, chosen so that the four bytes can be prepared one by one; the jump lands in the
//            mirror, a sparse copy of the module's address range at that distance, where `E9 rel32` goes to
//            the stub.
//              90 90 90 90 90            each rel32 byte one of 90 F8 F9 F5 FC (nop clc stc cmc cld)
//              0F 1F 44 sib d8           rel32 = d8:sib:44:1F, sib and d8 free (any NOP operand is harmless)
//              0F 1F 80 d0 d1 d2 d3      rel32 = d1:d0:80:1F, d0 and d1 free
//              0F 1F 84 sib d0 ..        rel32 = d0:sib:84:1F, sib and d0 free
//              66 0F 1F 44 sib d8        rel32 = sib:44:1F:0F, sib free;  66 0F 1F 84 sib ..: sib:84:1F:0F
//            All 625 distances of the first row are negative, 50 to 185 MB or 1.7 to 1.9 GB below the module,
//            so a non-PIE has none: while the process has a single thread the five NOPs are first rewritten
//            as 0F 1F 44 00 00 (`convert`), and from then on it is the second row.
//   kTrap    anything else that is one instruction of 5 bytes or more (2 or more behind a 5-byte pad): the
//            int3 protocol of patch/x86_64/trap. Also five one-byte NOPs for which conversion comes too late
//            or no mirror is free: only with proof that no thread stands between them.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/address.h"
#include "base/array.h"
#include "base/error.h"
#include "isa/x86_64/sled_forms.h"
#include "site/sites.h"

namespace calltap::plan {

/// The last three are for AArch64 and RISC-V: word_plan.h.
enum class Method : std::uint8_t { kNone, kPad, kMirror, kTrap, kJump, kFarJump, kCall };
/// Lower-case word for listings: "none", "pad", "mirror", "trap", "jump", "far-jump", "call".
std::string_view name(Method method);

/// Shape of the sled at `unit`, from its bytes. Sites of one module with the same form share a displacement.
using Form = isa::x86_64::SledForm;
inline constexpr std::size_t kForms = static_cast<std::size_t>(Form::kCount);

/// One byte at `unit + offset` that may be written alone.
struct PrepareByte {
  std::uint8_t offset = 0;
  std::uint8_t byte = 0;
};

struct SitePlan {
  Method method = Method::kNone;
  Form form = Form::kNone;
  /// kSledTooShort and the like; kNone when method is not kNone.
  site::SiteProblem problem = site::SiteProblem::kNone;
  /// Rewrite the first 5 bytes of the unit as 0F 1F 44 00 00 first; single-threaded only.
  bool convert = false;
  /// First byte of the unit. For kTrap only the first of the bytes that change.
  std::uint8_t off_byte = 0;
  std::uint8_t on_byte = 0;
  std::uint8_t prepare_count = 0;
  PrepareByte prepare[4];
  /// Bytes from `unit` to the body, where the trampoline enters the function.
  std::uint8_t body_offset = 0;
  /// Link address of the `jmp rel32 stub`: in the pad, or in the mirror (unit + 5 + displacement); for kTrap
  /// in the pad if there is one, else the unit itself. Of the stub itself if that is in the pad.
  base::LinkAddress jump_at;
  bool stub_in_pad = false;
};

/// Decides form and method of one site from the bytes at its unit (at least entry_bytes of them, from the
/// file or from memory, where they may have been prepared before), before a mirror displacement is known:
/// kMirror plans still lack prepare bytes and jump_at. `fixed_position`: a non-PIE, or a module for whose
/// one-byte NOPs choose_displacement found nothing. Any thread.
SitePlan classify(const site::Site& site, std::span<const std::uint8_t> unit_bytes, bool fixed_position);

/// True for a kPad plan whose pad has room for the stub itself, and which a harmless d8 reaches. Any thread.
bool can_have_stub_in_pad(const SitePlan& plan, const site::Site& site);
/// Changes such a plan to have it there, or not to. Any thread.
void set_stub_in_pad(SitePlan& plan, const site::Site& site, bool in_pad);

/// True if rel32 can be reached from the off form by harmless single-byte writes. Any thread.
bool displacement_fits(Form form, std::int32_t displacement);

/// A half-open range of target addresses.
struct Range {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

/// The fitting displacement nearest to zero such that the mirror of `text` (target addresses from the lowest
/// to the highest site, + 5 + displacement, with kMirrorSlack bytes after it) lies in none of the `used`
/// ranges (sorted, as in /proc/PID/maps, the module's own included), nor closer than kMirrorGuard to the end
/// of one (a heap grows up) or kMirrorGuardBelow to the begin of one (a stack grows down), and between the
/// lowest and the highest mappable address. 0 if there is none, or the form has no mirror. Takes time in
/// proportion to `used`. Any thread.
std::int32_t choose_displacement(Form form, Range text, std::span<const Range> used);
inline constexpr std::uint64_t kMirrorSlack = 16;
inline constexpr std::uint64_t kMirrorGuard = std::uint64_t{64} << 20;
inline constexpr std::uint64_t kMirrorGuardBelow = std::uint64_t{16} << 20;

/// Completes a kMirror plan. With a displacement that does not fit, such as 0 for "none found", it becomes
/// kTrap; for one-byte NOPs with `convert`, which then needs a single thread or proof that none stands
/// between the NOPs.
void set_displacement(SitePlan& plan, const site::Site& site, std::int32_t displacement);

}  // namespace calltap::plan
