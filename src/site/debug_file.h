// Separate debug files, where gdb looks for them too ("Debugging Information in Separate Files" in its
// manual).
#pragma once

#include "base/error.h"
#include "site/elf_file.h"

namespace calltap::site {

/// The debug file of a stripped module, in this order:
///   DEBUG_ROOT/.build-id/xx/yyyy.debug      by the module's build-id
///   DIR/LINK, DIR/.debug/LINK, DEBUG_ROOT/DIR/LINK   by its .gnu_debuglink, DIR being the module's directory
/// A file is taken only if its build-id is the module's; without a build-id, if its CRC is the one in the
/// link. `module_path` says where the module lies if that is not file.path() (as for /proc/PID/map_files).
/// Errors: kFileOpen if there is none, kBuildIdMismatch if only wrong ones were found.
base::Result<ElfFile> find_debug_file(const ElfFile& file, const char* debug_root,
                                      const char* module_path = nullptr);

}  // namespace calltap::site
