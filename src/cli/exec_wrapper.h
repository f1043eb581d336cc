// What starts programs that this machine does not start by itself.
#pragma once

#include <string>
#include <vector>

namespace calltap::cli {

/// The words of the environment variable CALLTAP_EXEC_WRAPPER, an emulator and its options for instance: a
/// program is started with them before its path. Empty without the variable.
std::vector<std::string> exec_wrapper();

}  // namespace calltap::cli
