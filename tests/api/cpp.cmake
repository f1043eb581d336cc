# The C++ interface, with the assembler that corrects GCC's entries of inline functions.
set(cpp DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/cpp_two_files.h
  ${PROJECT_SOURCE_DIR}/include/calltap/calltap.hpp ${PROJECT_SOURCE_DIR}/include/calltap/expected.hpp
  ${PROJECT_SOURCE_DIR}/include/calltap/ops.hpp ${PROJECT_SOURCE_DIR}/include/calltap/regs.hpp
  FLAGS -B${PROJECT_SOURCE_DIR}/cmake/gcc -Wpedantic -Wshadow -Wnon-virtual-dtor)
api_test(cpp_handlers SOURCES cpp_handlers.cpp ${cpp})
api_test(cpp_original SOURCES cpp_original.cpp VARIANTS gcc clang ${cpp})
api_test(cpp_clients SOURCES cpp_clients.cpp cpp_two_files.cpp ${cpp})
api_test(cpp_clients_without_exceptions SOURCES cpp_clients.cpp cpp_two_files.cpp ${cpp} -fno-exceptions -fno-rtti)
# libstdc++'s headers have functions with `double`, which clang's -mgeneral-regs-only refuses.
if(api_has_general_regs_only)
  api_test(cpp_general_regs SOURCES cpp_general_regs.cpp VARIANTS gcc ${api_landing_pad_variants} ${cpp} -mgeneral-regs-only)
else()
  calltap_skipped_test(api.cpp_general_regs api "compilers for ${CALLTAP_ARCH} have no -mgeneral-regs-only")
endif()

# A client in a library of its own, for a program that is not linked with Calltap: alone, and beside a recording.
set(preloaded ${CMAKE_CURRENT_BINARY_DIR}/gcc/cpp_preloaded_client.so)
api_build(${preloaded} gcc cpp_preloaded_client.cpp "calltap-runtime" -fPIC -shared $<TARGET_FILE:calltap-runtime>
  -Wl,-rpath,$<TARGET_FILE_DIR:calltap-runtime>)
foreach(variant gcc clang)
  set(program ${CMAKE_CURRENT_BINARY_DIR}/${variant}/cpp_preloaded_program)
  api_build(${program} ${variant} cpp_preloaded_program.c "")
  add_test(NAME api.${variant}.cpp_preloaded_client COMMAND ${CMAKE_COMMAND} -E env LD_PRELOAD=${preloaded}
    ${CALLTAP_RUN} ${program})
  add_test(NAME api.${variant}.cpp_preloaded_client_recorded COMMAND ${CMAKE_COMMAND} -E env LD_PRELOAD=${preloaded}
    ${CALLTAP_TOOL} record --max-size 1M -o ${program}.data -- ${program})
  set_tests_properties(api.${variant}.cpp_preloaded_client api.${variant}.cpp_preloaded_client_recorded PROPERTIES
    LABELS api TIMEOUT 60 PASS_REGULAR_EXPRESSION "7 calls seen, detached")
endforeach()

if(CALLTAP_RUN)
  return()  # what compilers say is the same everywhere
endif()
# cpp_misuse.cpp with each of its mistakes, and what both compilers must say. Without any it compiles.
set(misuses "" "as const" "at most CT_DATA_MAX" "copied and dropped as bytes" "returns nothing or calltap::Exit"
  "return_value" "invalid user-defined conversion|no matching function" "nodiscard")
foreach(compiler GXX CLANGXX)
  set(number 0)
  foreach(text IN LISTS misuses)
    set(name api.cpp_misuse.${compiler}.${number})
    add_test(NAME ${name} COMMAND ${CALLTAP_${compiler}} -std=c++20 -fsyntax-only -Wall -Wextra -Werror
      -DMISUSE=${number} -I${PROJECT_SOURCE_DIR}/include ${CMAKE_CURRENT_SOURCE_DIR}/cpp_misuse.cpp)
    set_tests_properties(${name} PROPERTIES LABELS api PASS_REGULAR_EXPRESSION "${text}")
    math(EXPR number "${number} + 1")
  endforeach()
endforeach()
