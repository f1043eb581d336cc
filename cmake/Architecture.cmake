# CALLTAP_ARCH: the folder of src/isa and src/trampoline that this build runs on, whatever CMake's processor is called.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$")
  set(CALLTAP_ARCH x86_64)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  set(CALLTAP_ARCH aarch64)
elseif(CMAKE_SYSTEM_PROCESSOR STREQUAL "riscv64")
  set(CALLTAP_ARCH riscv64)
else()
  message(FATAL_ERROR "Calltap does not run on the processor '${CMAKE_SYSTEM_PROCESSOR}'")
endif()

# What the host's CMake packages offer is for the host: cross/Find*.cmake have the same targets from headers and sources.
if(CMAKE_CROSSCOMPILING)
  list(PREPEND CMAKE_MODULE_PATH ${CMAKE_CURRENT_LIST_DIR}/cross)
endif()
