#include "trampoline/code.h"

namespace calltap::trampoline {

void detect_vectors() {
  // fa0 to fa7 and ft0 to ft11 are always there, and no others carry arguments (handlers.inc).
  code().imports->vector_features = 0;
}

}  // namespace calltap::trampoline
