# Compile programs and libraries so that Calltap can trace them.
#
#   calltap_instrument(target [PRIVATE|PUBLIC|INTERFACE])
#     Compiles the C and C++ functions of the target with the patchable entries that Calltap likes best: a function
#     that nobody watches costs one NOP. PUBLIC and INTERFACE pass the flag on to the targets that link to it.
#
#   calltap_entry_flag(variable)
#     The same flag as a string, for other build systems. Makefiles can have it from `pkg-config --variable=instrument
#     calltap`.
#
# Beware of -Wl,--gc-sections with GCC and -ffunction-sections: GCC 12 ties all entries of a source file to its first
# function, and the linker drops them with it. `calltap list` shows what is left.
#
# GCC 8 or clang 10 and later; x86-64, AArch64, RISC-V (64 bit).
include_guard(GLOBAL)

# The numbers are NOPs in total, and how many of them stand before the entry. x86-64: 16 bytes before and 2 at the
# entry; AArch64: 2 instructions and 2; RISC-V: 8 compressed instructions and 1.
function(calltap_entry_flag variable)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$")
    set(entry "18,16")
  elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
    set(entry "4,2")
  elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^riscv64$")
    set(entry "9,8")
  else()
    message(FATAL_ERROR "Calltap knows no patchable function entry for the processor '${CMAKE_SYSTEM_PROCESSOR}'")
  endif()
  set(${variable} "-fpatchable-function-entry=${entry}" PARENT_SCOPE)
endfunction()

# Fails with the reason when the compiler of an enabled language does not know the flag.
function(_calltap_check_compiler language flag)
  if(language STREQUAL "C")
    include(CheckCCompilerFlag)
    check_c_compiler_flag("${flag}" CALLTAP_C_HAS_PATCHABLE_ENTRY)
  else()
    include(CheckCXXCompilerFlag)
    check_cxx_compiler_flag("${flag}" CALLTAP_CXX_HAS_PATCHABLE_ENTRY)
  endif()
  if(NOT CALLTAP_${language}_HAS_PATCHABLE_ENTRY)
    message(FATAL_ERROR
      "calltap_instrument: the ${language} compiler (${CMAKE_${language}_COMPILER_ID} "
      "${CMAKE_${language}_COMPILER_VERSION}) does not accept ${flag}; Calltap needs GCC 8 or clang 10, or later")
  endif()
endfunction()

function(calltap_instrument target)
  if(NOT TARGET ${target})
    message(FATAL_ERROR "calltap_instrument: there is no target '${target}'")
  endif()
  get_target_property(type ${target} TYPE)
  set(scope PRIVATE)
  if(type STREQUAL "INTERFACE_LIBRARY")
    set(scope INTERFACE)
  endif()
  if(ARGC GREATER 1)
    set(scope ${ARGV1})
  endif()
  if(NOT scope MATCHES "^(PRIVATE|PUBLIC|INTERFACE)$")
    message(FATAL_ERROR "calltap_instrument: '${scope}' is none of PRIVATE, PUBLIC, INTERFACE")
  endif()

  calltap_entry_flag(flag)
  get_property(languages GLOBAL PROPERTY ENABLED_LANGUAGES)
  foreach(language IN ITEMS C CXX)
    if(language IN_LIST languages)
      _calltap_check_compiler(${language} ${flag})
    endif()
  endforeach()
  target_compile_options(${target} ${scope} $<$<COMPILE_LANGUAGE:C,CXX>:${flag}>)
endfunction()
