#include "parity.h"

extern "C" __attribute__((noinline)) const char* greeting(int number) {
  return is_even(number) ? "even" : "odd";
}
