#include "site/machine_rules.h"

#include <elf.h>

#include <algorithm>
#include <span>

#include "isa/aarch64/decode.h"
#include "isa/aarch64/sled_forms.h"
#include "isa/riscv64/decode.h"
#include "isa/riscv64/sled_forms.h"
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
    .call_offset = nullptr,
    .instruction_length = nullptr,
    .relative_relocation = R_X86_64_RELATIVE,
    .absolute_relocation = R_X86_64_64,
    .has_room = has_room_x86_64,
};

/// Any of the table's forms.
template <class Sled>
bool fits_any(std::span<const Sled> sleds, const Site& site) {
  return std::any_of(sleds.begin(), sleds.end(), [&](const Sled& sled) {
    return site.first_nop_bytes == sled.first_nop_bytes && site.pad_bytes >= sled.pad_bytes &&
           site.entry_bytes >= sled.length();
  });
}

bool has_room_aarch64(const Site& site) {
  return fits_any(std::span<const isa::aarch64::Sled>(isa::aarch64::kSleds), site);
}

constexpr MachineRules kAArch64 = {
    .nop_length = isa::aarch64::nop_length,
    .is_landing_pad = isa::aarch64::is_landing_pad,
    .landing_pad_bytes = isa::aarch64::kLandingPadBytes,
    .call_offset = isa::aarch64::call_offset,
    .instruction_length = [](MachineRules::Code) { return 4u; },
    .relative_relocation = R_AARCH64_RELATIVE,
    .absolute_relocation = R_AARCH64_ABS64,
    .has_room = has_room_aarch64,
};

bool has_room_riscv64(const Site& site) {
  return fits_any(std::span<const isa::riscv64::Sled>(isa::riscv64::kSleds), site);
}

constexpr MachineRules kRiscV64 = {
    .nop_length = isa::riscv64::nop_length,
    .is_landing_pad = [](MachineRules::Code) { return false; },  // compilers of today leave none
    .landing_pad_bytes = 0,
    .call_offset = isa::riscv64::call_offset,
    .instruction_length = isa::riscv64::instruction_length,
    .relative_relocation = R_RISCV_RELATIVE,
    .absolute_relocation = R_RISCV_64,
    .has_room = has_room_riscv64,
};

}  // namespace

const MachineRules* rules_for(Machine machine) {
  switch (machine) {
    case Machine::kX86_64:
      return &kX86_64;
    case Machine::kAArch64:
      return &kAArch64;
    case Machine::kRiscV64:
      return &kRiscV64;
  }
  return nullptr;
}

}  // namespace calltap::site
