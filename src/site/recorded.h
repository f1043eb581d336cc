// The addresses that compilers record for patchable functions, after relocation.
#pragma once

#include "base/address.h"
#include "base/array.h"
#include "base/error.h"
#include "site/elf_file.h"
#include "site/machine_rules.h"
#include "site/sites.h"

namespace calltap::site {

struct Recorded {
  base::LinkAddress address;
  SiteSource source = SiteSource::kPatchableFunctionEntries;
};

/// Every address in the sections __patchable_function_entries and __mcount_loc, ascending, each once. What
/// belonged to functions that the linker dropped is left out: zeros, and repeated addresses, where it put
/// another copy of the function, or an identical function, in the place. Errors: kElfMalformed, kOutOfMemory.
base::Result<base::Array<Recorded>> read_recorded(const ElfFile& file, const MachineRules& rules);

}  // namespace calltap::site
