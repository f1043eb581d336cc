// call_in() where it has not been made yet.
#include "inject/inject.h"

namespace calltap::inject {

Result call_in(const Request&) {
  throw InjectError(
      "loading the library into a running process is not supported on this architecture: start the program "
      "under "
      "calltap instead");
}

}  // namespace calltap::inject
