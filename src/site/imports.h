// Functions that one module has from another: the dynamic linker's view of names.
#pragma once

#include <string_view>

#include "base/address.h"
#include "site/elf_file.h"

namespace calltap::site {

/// A program linked without -pie that takes the address of another module's function gets that of its own
/// jump to it, and has all other modules see the same: an undefined symbol with a value (System V ABI,
/// "Function Addresses"). The name of the function whose jump is at the address; empty if it is none.
std::string_view imported_function(const ElfFile& file, base::LinkAddress address);

/// Where the file defines the function for other modules, in its default version. 0 if it does not, or only
/// says at run time (STT_GNU_IFUNC).
base::LinkAddress exported_function(const ElfFile& file, std::string_view name);

}  // namespace calltap::site
