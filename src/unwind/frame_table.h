// The description of the function at an address, by the sorted table (.eh_frame_hdr) of a module that is
// loaded in this process.
#pragma once

#include <cstdint>

#include "unwind/call_frame.h"

namespace calltap::unwind {

/// Readable memory of this process.
struct Range {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  [[nodiscard]] bool contains(std::uint64_t address) const { return address >= begin && address < end; }
};

/// A module's tables: `header` is the address of .eh_frame_hdr, within `header_memory`.
struct Tables {
  std::uint64_t header = 0;
  Range header_memory;
  Range frame_memory;  // of .eh_frame
};

/// Where .eh_frame begins, according to the header; 0 if it cannot be told.
std::uint64_t frame_section(const Tables& tables);

/// False: nothing describes this address, or it cannot be read. Reads within the tables' memory only.
bool find_description(const Tables& tables, std::uint64_t address, Description& description);

}  // namespace calltap::unwind
