if(CALLTAP_RUN)
  calltap_skipped_test(api.debugger_backtraces api "gdb would see the emulator")
  return()
endif()
# gdb's backtraces, for each way in which a site runs its clients.
find_program(CALLTAP_GDB gdb)
set(debugger_variants gcc gcc_cet clang)
api_test(debugger_stops VARIANTS ${debugger_variants} SOURCES debugger_stops.c ${kinds_sources}
  DEPENDS ${kinds_depends} FLAGS -g)
if(CALLTAP_GDB)
  foreach(variant ${debugger_variants})
    add_test(NAME api.${variant}.debugger_backtraces COMMAND ${CALLTAP_GDB} -nx -q -batch
      -x ${CMAKE_CURRENT_SOURCE_DIR}/debugger_backtraces.py
      --args ${CMAKE_CURRENT_BINARY_DIR}/${variant}/debugger_stops stop_in_each_kind)
    set_tests_properties(api.${variant}.debugger_backtraces PROPERTIES LABELS api TIMEOUT 300)
  endforeach()
endif()
