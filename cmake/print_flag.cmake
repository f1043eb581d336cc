# cmake -D CMAKE_SYSTEM_PROCESSOR=x86_64 -P print_flag.cmake: the flag of calltap_instrument on standard output.
include(${CMAKE_CURRENT_LIST_DIR}/CalltapInstrument.cmake)
calltap_entry_flag(flag)
execute_process(COMMAND ${CMAKE_COMMAND} -E echo ${flag})
