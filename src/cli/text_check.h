// Whether a process's code is as in the files that it was loaded from.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "cli/module_sources.h"

namespace calltap::cli {

/// Bytes that differ, all of one function's sled or elsewhere, with less than 16 equal ones between them.
struct TextDifference {
  std::string module;
  std::string function;  // whose sled it is; "" if it is no sled
  std::uint64_t address = 0;
  std::vector<std::uint8_t> in_file;
  std::vector<std::uint8_t> in_memory;
};

struct TextCheck {
  std::vector<TextDifference> differences;
  std::uint64_t bytes = 0;  // of code that was compared
  std::size_t modules = 0;
  std::vector<std::string> problems;  // modules that were left out, a sentence each
};

/// Throws SourceError: the process's memory cannot be read.
TextCheck check_text(pid_t pid);

}  // namespace calltap::cli
