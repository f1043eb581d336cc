# Registers and unwinding, for each way in which a site runs its clients.
set(kinds_sources dispatch_kinds.c)
set(kinds_depends ${CMAKE_CURRENT_SOURCE_DIR}/dispatch_kinds.h)

# The same again with the recorder as one more client of the functions that the pattern selects. Nothing reads the
# recording.
function(api_recorded_test name pattern)
  add_test(NAME api.recorded.${name} COMMAND ${CALLTAP_TOOL} record --max-size 16M -F ${pattern}
    -o ${CMAKE_CURRENT_BINARY_DIR}/${name}.calltap -- ${CMAKE_CURRENT_BINARY_DIR}/gcc/${name})
  set_tests_properties(api.recorded.${name} PROPERTIES LABELS api TIMEOUT 300)
endfunction()

set(targets ../targets/${CALLTAP_ARCH})
api_test(registers VARIANTS gcc clang
  SOURCES registers.c ${CALLTAP_ARCH}/registers_handlers.S ${targets}/registers_check.c ${targets}/registers_call.S
    ${kinds_sources}
  DEPENDS ${kinds_depends} ${CMAKE_SOURCE_DIR}/tests/targets/registers_check.h)
api_recorded_test(registers registers_callee)

if(CALLTAP_ARCH STREQUAL "x86_64")
  api_test(registers_accessors SOURCES registers_accessors.c LATE)
else()
  calltap_skipped_test(api.registers_accessors api
    "its structures are those that x86-64 passes and returns in particular registers")
endif()

# One variant: what is stepped through is assembly.
set(steps VARIANTS gcc SOURCES unwinding_steps.c ${CALLTAP_ARCH}/unwinding_steps_call.S ${kinds_sources}
  DEPENDS ${kinds_depends})
if(CALLTAP_ARCH STREQUAL "x86_64")
  api_test(unwinding_steps ${steps})
  api_recorded_test(unwinding_steps steps_*)
  api_test(unwinding_steps_private_unwinder ${steps} LINK -static-libgcc)
else()
  calltap_skipped_test(api.unwinding_steps api ${no_trap_flag})
endif()

# clang would have a file that is C and C++ be called .cpp.
api_test(unwinding SOURCES unwinding.cpp ${kinds_sources} DEPENDS ${kinds_depends} FLAGS -Wno-deprecated)

api_test(ending_threads SOURCES ending_threads.c ${kinds_sources} DEPENDS ${kinds_depends})
api_test(ending_threads_landing_pads VARIANTS gcc clang SOURCES ending_threads.c ${kinds_sources} DEPENDS ${kinds_depends}
  FLAGS -fexceptions)

# The same in programs with a private unwinder (and C++ library), which Calltap finds by their symbols.
set(private FLAGS -Wno-deprecated -DPRIVATE_UNWINDER LINK -static-libgcc -static-libstdc++)
api_test(unwinding_private_unwinder SOURCES unwinding.cpp ${kinds_sources} DEPENDS ${kinds_depends} ${private})
api_test(throwing_handlers_private_unwinder SOURCES throwing_handlers.cpp ${private})
api_test(ending_threads_private_unwinder VARIANTS gcc clang SOURCES ending_threads.c ${kinds_sources}
  DEPENDS ${kinds_depends} LINK -static-libgcc)

if(CALLTAP_RUN)
  return()  # which Debian has for the host only
endif()
# The same with LLVM's unwinder. Not for threads that end: for that glibc loads libgcc_s, which does not mix with it.
find_file(CALLTAP_LLVM_UNWINDER libunwind.so.1 PATHS /usr/lib /usr/lib64 /usr/lib/x86_64-linux-gnu /usr/lib/llvm-14/lib)
if(CALLTAP_LLVM_UNWINDER)
  foreach(check backtraces_find_the_callers_from_everywhere exceptions_of_the_function_end_its_call_once
      exceptions_of_a_direct_trampoline_end_the_call_once)
    add_test(NAME api.llvm_unwinder.${check} COMMAND ${CMAKE_COMMAND} -E env LD_PRELOAD=${CALLTAP_LLVM_UNWINDER}
      ${CMAKE_CURRENT_BINARY_DIR}/gcc/unwinding ${check})
    set_tests_properties(api.llvm_unwinder.${check} PROPERTIES LABELS api TIMEOUT 120)
  endforeach()
endif()
