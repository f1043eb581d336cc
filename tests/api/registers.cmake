# Registers and unwinding, for each way in which a site runs its clients.
set(kinds_sources dispatch_kinds.c)
set(kinds_depends ${CMAKE_CURRENT_SOURCE_DIR}/dispatch_kinds.h)

# The same again with the recorder as one more client of the functions that the pattern selects. Nothing reads the
# recording.
function(api_recorded_test name pattern)
  add_test(NAME api.recorded.${name} COMMAND calltap record --max-size 16M -F ${pattern}
    -o ${CMAKE_CURRENT_BINARY_DIR}/${name}.calltap -- ${CMAKE_CURRENT_BINARY_DIR}/gcc/${name})
  set_tests_properties(api.recorded.${name} PROPERTIES LABELS api TIMEOUT 300)
endfunction()

api_test(registers VARIANTS gcc clang
  SOURCES registers.c registers_handlers.S ../targets/registers_check.c ../targets/registers_call.S ${kinds_sources}
  DEPENDS ${kinds_depends} ${CMAKE_SOURCE_DIR}/tests/targets/registers_check.h)
api_recorded_test(registers registers_callee)

# One variant: what is stepped through is assembly.
api_test(unwinding_steps VARIANTS gcc
  SOURCES unwinding_steps.c unwinding_steps_call.S ${kinds_sources} DEPENDS ${kinds_depends})
api_recorded_test(unwinding_steps steps_*)
