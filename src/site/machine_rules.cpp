#include "site/machine_rules.h"

#include <elf.h>

#include "isa/x86_64/decode.h"

namespace calltap::site {
namespace {

constexpr unsigned kX86JumpBytes = 5;       // E9 rel32
constexpr unsigned kX86ShortJumpBytes = 2;  // EB d8

bool has_room_x86_64(const Site& site) {
  if (site.pad_bytes >= kX86JumpBytes && site.entry_bytes >= kX86ShortJumpBytes) return true;
  return site.entry_bytes >= kX86JumpBytes;
}

constexpr MachineRules kX86_64 = {
    .nop_length = isa::x86_64::nop_length,
    .is_landing_pad = isa::x86_64::is_landing_pad,
    .landing_pad_bytes = isa::x86_64::kLandingPadBytes,
    .relative_relocation = R_X86_64_RELATIVE,
    .absolute_relocation = R_X86_64_64,
    .has_room = has_room_x86_64,
};

}  // namespace

const MachineRules* rules_for(Machine machine) { return machine == Machine::kX86_64 ? &kX86_64 : nullptr; }

}  // namespace calltap::site
