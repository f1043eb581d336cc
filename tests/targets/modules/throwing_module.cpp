// Throws across the module's boundary, and calls back into the program inside a frame with a destructor.
#include <stdexcept>

#include "calls.h"

namespace {

struct ModuleGuard {
  HOOKED ~ModuleGuard() { CALLED_AS("ModuleGuard::~ModuleGuard"); }
};

HOOKED int module_thrower(int n) {
  CALLED();
  if (n % 2 == 0) throw std::runtime_error("from the module");
  return n;
}

}  // namespace

extern "C" HOOKED int module_throws(int n) {
  CALLED();
  ModuleGuard guard;
  return module_thrower(n) + 1;
}

extern "C" HOOKED int module_calls_back(int (*callback)(int), int n) {
  CALLED();
  ModuleGuard guard;
  return callback(n) + 1;
}
