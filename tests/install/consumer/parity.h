// Shared by the C++ files of the library.
#pragma once

__attribute__((noinline)) inline bool is_even(int number) {
  static int calls;
  return (number + 2 * ++calls) % 2 == 0;
}
