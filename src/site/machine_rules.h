// What differs between architectures when sites are read: the one place where a machine is selected.
#pragma once

#include <cstdint>
#include <span>

#include "site/elf_file.h"
#include "site/sites.h"

namespace calltap::site {

struct MachineRules {
  using Code = std::span<const std::uint8_t>;

  /// Length of the NOP at the start of the code, 0 if there is none.
  unsigned (*nop_length)(Code code);
  bool (*is_landing_pad)(Code code);
  unsigned landing_pad_bytes;
  /// How far from its own start the direct call at the start of the code leads, 0 if there is none. Null
  /// where unwind entries begin where the functions do, and calls need not be asked.
  std::int64_t (*call_offset)(Code code);
  unsigned (*instruction_length)(Code code);
  /// Relocations that make an address: load bias + addend, and symbol + addend.
  std::uint32_t relative_relocation;
  std::uint32_t absolute_relocation;
  /// True if the sled has room for at least one way of patching (see plan/plan.h).
  bool (*has_room)(const Site& site);
};

/// Null for a machine whose sleds cannot be decoded. Any thread, signal-safe.
const MachineRules* rules_for(Machine machine);

}  // namespace calltap::site
