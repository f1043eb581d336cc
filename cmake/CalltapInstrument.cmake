# calltap_instrument(target [PUBLIC|PRIVATE|INTERFACE])
#
# Compiles the target's functions with the patchable entries that Calltap uses: two NOP bytes at the entry and sixteen
# before it, so that a function nobody watches costs one NOP.
function(calltap_instrument target)
  set(scope PRIVATE)
  if(ARGC GREATER 1)
    set(scope ${ARGV1})
  endif()
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|amd64|AMD64")
    set(entry "18,16")
  elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
    set(entry "4,2")
  elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "riscv64")
    set(entry "9,8")
  else()
    message(FATAL_ERROR "calltap_instrument: no patchable function entry is known for ${CMAKE_SYSTEM_PROCESSOR}")
  endif()
  target_compile_options(${target} ${scope}
    $<$<COMPILE_LANGUAGE:C,CXX>:-fpatchable-function-entry=${entry}>)
endfunction()
