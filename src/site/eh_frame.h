// Where functions start, according to the unwind tables. Also a stripped file has them.
#pragma once

#include "base/address.h"
#include "base/array.h"
#include "base/error.h"
#include "site/elf_file.h"

namespace calltap::site {

/// Appends the start address of every frame description: from the sorted table of .eh_frame_hdr, or from
/// .eh_frame itself where a linker made no table. Not sorted. What is malformed is skipped, since the tables
/// only confirm what was decoded. Errors: kOutOfMemory.
base::Result<void> append_frame_starts(const ElfFile& file, base::Array<base::LinkAddress>& starts);

}  // namespace calltap::site
