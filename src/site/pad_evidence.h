// Where nothing says at a site itself how many of its NOPs lie before the entry: what the rest of the module
// says. GCC begins unwind entries behind the NOPs on AArch64 and RISC-V, so in a stripped module only direct
// calls lead to the entries of functions that are not exported.
#pragma once

#include <elf.h>

#include <cstdint>

#include "base/array.h"
#include "base/error.h"
#include "site/byte_view.h"
#include "site/elf_file.h"
#include "site/machine_rules.h"

namespace calltap::site {

/// For each length of sleds, the pad that all evidence agrees on. A wrong pad would make code that runs of
/// NOPs that do not, or the other way round, so one contradiction spoils all sleds of that length.
class PadEvidence {
 public:
  /// Errors: kOutOfMemory.
  base::Result<void> add(std::int64_t sled_bytes, std::int64_t pad_bytes);
  /// -1 if there is none, or it contradicts itself.
  [[nodiscard]] std::int64_t pad_of(std::int64_t sled_bytes) const;

 private:
  struct Pad {
    std::int64_t sled_bytes;
    std::int64_t pad_bytes;
  };
  base::Array<Pad> pads_;
};

/// Calls visit(target), which returns base::Result<void>, for every direct call in the code sections of the
/// file. Data among the code may look like a call too.
template <class Visit>
base::Result<void> for_each_call(const ElfFile& file, const MachineRules& rules, Visit visit) {
  std::uint64_t total = 0;
  for (const Section& section : file.sections()) {
    if ((section.flags & SHF_EXECINSTR) == 0) continue;
    total += section.bytes.size();
    if (total > file.bytes().size()) break;  // sections that share their bytes
    std::uint64_t length = 0;
    for (std::uint64_t at = 0; at < section.bytes.size(); at += length) {
      const std::span<const std::uint8_t> code = section.bytes.subspan(at);
      length = rules.instruction_length(code);
      const std::int64_t offset = rules.call_offset(code);
      if (offset == 0) continue;
      if (auto visited = visit(section.address + static_cast<std::int64_t>(at) + offset); !visited)
        return visited;
    }
  }
  return {};
}

}  // namespace calltap::site
