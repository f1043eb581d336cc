#include "cli/exec_wrapper.h"

#include <cstdlib>
#include <iterator>
#include <sstream>

namespace calltap::cli {

std::vector<std::string> exec_wrapper() {
  const char* text = std::getenv("CALLTAP_EXEC_WRAPPER");
  std::istringstream words(text == nullptr ? "" : text);
  return {std::istream_iterator<std::string>(words), {}};
}

}  // namespace calltap::cli
