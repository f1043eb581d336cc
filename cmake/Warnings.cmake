# Warnings are errors, with the same set for GCC and clang.
add_library(calltap_warnings INTERFACE)
target_compile_options(calltap_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Werror
  $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor -Woverloaded-virtual -Wold-style-cast -Wextra-semi>)
