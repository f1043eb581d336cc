// Filters as the runtime reads them.
#pragma once

#include <string>

#include "cli/record_options.h"

namespace calltap::cli {

/// As buffer::Welcome has them.
inline std::string filter_text(const RecordOptions& options) {
  std::string text;
  for (const std::string& f : options.functions) text += "F" + f + '\0';
  for (const std::string& f : options.excluded) text += "N" + f + '\0';
  for (const std::string& t : options.triggers) text += "T" + t + '\0';
  if (options.arguments) text += std::string("A") + '\0';
  return text;
}

}  // namespace calltap::cli
