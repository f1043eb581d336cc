// One distinct label for every function of a process, for readers that tell functions apart by name alone.
#pragma once

#include <string>
#include <vector>

#include "trace/description.h"

namespace calltap::trace {

/// Indexed by function id (entry 0 and ids without a function are empty). A name that several functions share
/// becomes `name@module`, and within one module `name@module+0xaddress`.
std::vector<std::string> distinct_names(const ProcessDescription& process);

/// The file name of a module, or "" for an index that is not in the list.
std::string_view module_name(const ProcessDescription& process, std::uint32_t module);

}  // namespace calltap::trace
