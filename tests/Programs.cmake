# How the tests' programs are made and started.
#
#   CALLTAP_GCC, CALLTAP_GXX, CALLTAP_CLANG, CALLTAP_CLANGXX   compilers for this build's architecture
#   CALLTAP_RUN                                                stands before a program of this build in a command
#   CALLTAP_TOOL                                               the tool, as one word that can be executed
#   calltap_runnable_tool(variable tool path)                  another copy of the tool likewise
#
# In a cross-build programs run in an emulator. The programs know it, as `calltap record` does, by the environment
# variable CALLTAP_EXEC_WRAPPER; so do scripts that start programs (hazard/exec_wrapper.py) and programs that start themselves
# (targets/calls.h).
if(CMAKE_CROSSCOMPILING)
  set(CALLTAP_GCC ${CMAKE_C_COMPILER})
  set(CALLTAP_GXX ${CMAKE_CXX_COMPILER})
  # clang compiles for what its name says.
  foreach(name clang clang++)
    string(TOUPPER "CALLTAP_HOST_${name}" host)
    find_program(${host} NAMES ${name} ${name}-14 REQUIRED)
    file(CREATE_LINK ${${host}} ${CMAKE_CURRENT_BINARY_DIR}/${CALLTAP_ARCH}-linux-gnu-${name} SYMBOLIC)
  endforeach()
  set(CALLTAP_CLANG ${CMAKE_CURRENT_BINARY_DIR}/${CALLTAP_ARCH}-linux-gnu-clang)
  set(CALLTAP_CLANGXX ${CMAKE_CURRENT_BINARY_DIR}/${CALLTAP_ARCH}-linux-gnu-clang++)
else()
  find_program(CALLTAP_GCC NAMES gcc REQUIRED)
  find_program(CALLTAP_GXX NAMES g++ REQUIRED)
  find_program(CALLTAP_CLANG NAMES clang clang-14 REQUIRED)
  find_program(CALLTAP_CLANGXX NAMES clang++ clang++-14 REQUIRED)
endif()

set(CALLTAP_RUN ${CMAKE_CROSSCOMPILING_EMULATOR})
list(JOIN CALLTAP_RUN " " words)

function(calltap_runnable_tool variable name path)
  set(${variable} ${path} PARENT_SCOPE)
  if(CALLTAP_RUN)
    set(script ${CMAKE_CURRENT_BINARY_DIR}/emulated/${name})
    file(GENERATE OUTPUT ${script} CONTENT "#!/bin/sh\nexec ${words} ${path} \"$@\"\n" FILE_PERMISSIONS
      OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
    set(${variable} ${script} PARENT_SCOPE)
  endif()
endfunction()
calltap_runnable_tool(CALLTAP_TOOL calltap $<TARGET_FILE:calltap>)

# ctest reads this before it runs the tests, which inherit its environment.
if(CALLTAP_RUN)
  file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/environment.cmake
    "set(ENV{CALLTAP_EXEC_WRAPPER} \"${words}\")\nset(ENV{STRIP} \"${CMAKE_STRIP}\")\nset(ENV{OBJCOPY} \"${CMAKE_OBJCOPY}\")\n")
  set_property(DIRECTORY ${PROJECT_SOURCE_DIR} APPEND PROPERTY
    TEST_INCLUDE_FILES ${CMAKE_CURRENT_BINARY_DIR}/environment.cmake)
endif()
