// The parameters of a module's functions, from its DWARF debug information, and the registers they come in,
// from the calling convention of its architecture.
//
// Where a value is follows from the types of all parameters before it. What cannot be told for sure is
// unknown: aggregates by value, what is passed on the stack, and everything behind a parameter of which it is
// not known what it takes.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "trace/parameter.h"

namespace calltap::cli {

/// By the address in the file at which the function begins in its debug information. With GCC for AArch64 and
/// RISC-V that is behind the patchable instructions, so not always where its symbol is.
using ParametersByAddress = std::map<std::uint64_t, trace::Parameters>;

/// Empty if the file has no debug information, cannot be read, or this calltap was built without libdw.
ParametersByAddress read_parameters(const std::string& file);

/// The compiler has made this copy of a function take other parameters than the source says.
bool has_other_parameters(const std::string& symbol);

}  // namespace calltap::cli
