// An exception that nobody may catch: noexcept ends in the program's terminate handler, which calls hooked
// functions.
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "calls.h"

namespace {

HOOKED int leaf(int n) {
  CALLED();
  return n + 1;
}

HOOKED void thrower(int n) {
  CALLED();
  throw leaf(n);
}

HOOKED int no_escape(int n) noexcept {
  CALLED();
  thrower(n);
  NOT_A_TAIL_CALL();
  return n;
}

HOOKED void on_terminate() {
  CALLED();
  int value = 0;
  try {
    std::rethrow_exception(std::current_exception());
  } catch (int caught) {
    value = leaf(caught);
  }
  std::printf("terminate with %d\n", value);
  std::fflush(stdout);
  std::abort();
}

}  // namespace

int main() {
  std::set_terminate(on_terminate);
  return no_escape(5);
}
