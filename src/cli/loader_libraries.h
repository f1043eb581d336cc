// The shared objects that a program's loader would load.
#pragma once

#include <string>
#include <vector>

namespace calltap::cli {

/// Asks the loader (`interpreter`, the file's PT_INTERP) in its listing mode; none of the program's code
/// runs. Empty for a static program, and for a loader outside the system's library directories: that one is
/// not trusted to list.
std::vector<std::string> loader_libraries(const std::string& interpreter, const std::string& program);

}  // namespace calltap::cli
