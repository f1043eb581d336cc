# The tests of the commands, one CTest test for each test_* function: cli.<module>.<name>.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
calltap_entry_flag(entry_flag)
string(REGEX REPLACE ".*=" "" entry_numbers ${entry_flag})
set(run_test ${CMAKE_CURRENT_SOURCE_DIR}/run_test.py)
foreach(module list_sites read_damaged read_errors record_errors record_runs)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${module}.py)
  execute_process(COMMAND ${Python3_EXECUTABLE} -B ${run_test} ${module} OUTPUT_VARIABLE names COMMAND_ERROR_IS_FATAL ANY)
  foreach(name ${names})
    add_test(NAME cli.${module}.${name}
      COMMAND ${Python3_EXECUTABLE} -B ${run_test} --calltap ${CALLTAP_TOOL}
        --targets ${CMAKE_BINARY_DIR}/tests/targets/default --entry ${entry_numbers} ${module} ${name})
    set_tests_properties(cli.${module}.${name} PROPERTIES LABELS cli TIMEOUT 120 SKIP_RETURN_CODE 77)
  endforeach()
endforeach()
