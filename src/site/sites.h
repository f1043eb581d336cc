// The patchable function entries of a module, decoded.
//
//     recorded                entry          unit             body (after the unit, see plan)
//        |  pad (M NOP bytes)   | landing pad  | entry NOP bytes |
//        +----------------------+--------------+-----------------+------ function
//        <----- pad_bytes ----->  0 or 4 bytes   <- entry_bytes ->
#pragma once

#include <cstdint>
#include <string_view>

#include "base/address.h"
#include "base/array.h"
#include "base/error.h"
#include "site/elf_file.h"

namespace calltap::site {

/// Why a recorded address is not a usable site.
enum class SiteProblem : std::uint8_t {
  kNone,
  kNotCode,       // the address is not in an executable segment of the file
  kNotNops,       // the bytes there are not the NOPs a compiler reserves
  kEntryUnknown,  // pad NOPs, but no symbol, unwind entry or landing pad says where the function starts
  kDuplicate,     // another site covers the same bytes
  kSledTooShort,  // fewer bytes than any method of this architecture needs (e.g.
                  // -fpatchable-function-entry=2)
  kMisaligned,    // what is switched would not be one store
  kNoLandingPad,  // one NOP only, where the body needs a landing pad
  kCount
};
/// Lower case, no full stop, says what to do where something can be done.
std::string_view text(SiteProblem problem);

enum class SiteSource : std::uint8_t { kPatchableFunctionEntries, kMcountLoc };

struct Site {
  base::LinkAddress recorded;  // what the section says
  base::LinkAddress entry;     // where callers land
  base::LinkAddress unit;      // first NOP at the entry
  std::uint16_t pad_bytes = 0;
  std::uint8_t landing_pad_bytes = 0;
  std::uint8_t entry_bytes = 0;      // NOP bytes from `unit` on that belong to the sled
  std::uint8_t first_nop_bytes = 0;  // length of the first NOP instruction at `unit`
  SiteSource source = SiteSource::kPatchableFunctionEntries;
  SiteProblem problem = SiteProblem::kNone;
};

/// All recorded sites in ascending order of `entry`, usable or not. Works from the file alone (relocations
/// are read from .rela.dyn / .relr.dyn where the section's own bytes are not final), so the same call serves
/// the tool and the runtime. Index in this list is the site's number everywhere: function id = module's first
/// id + index. An ELF file without any site gives an empty list, not an error. Errors: kElfMalformed,
/// kOutOfMemory, kElfNoSectionHeaders.
base::Result<base::Array<Site>> discover(const ElfFile& file);

}  // namespace calltap::site
