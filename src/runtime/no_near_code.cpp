// Where a near jump costs no less than one through the whole address space: the library's own copy of the
// trampolines' code is the one in use.
#include "runtime/near_code.h"

namespace calltap::runtime {

void use_code_near_program(char** /*environment*/) {}

}  // namespace calltap::runtime
