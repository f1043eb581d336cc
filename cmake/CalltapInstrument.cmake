# Compile programs and libraries so that Calltap can trace them.
#
#   calltap_instrument(target [PRIVATE|PUBLIC|INTERFACE])
#     Compiles the C and C++ functions of the target with the patchable entries that Calltap likes best: a function
#     that nobody watches costs a NOP or two. PUBLIC and INTERFACE pass the flag on to the targets that link to it.
#     GCC 11 and 12 also get -B with the directory of an assembler that corrects what they write about entries (gcc/as
#     says what is wrong with it), when compiling and, for -flto, when linking. Static libraries pass that on too.
#     GCC also gets -fno-ipa-stack-alignment, so that a function that replaces another, or a direct call's trampoline,
#     finds the stack aligned (handlers always do).
#
#   calltap_entry_flag(variable)
#     The flag for the entries as a string, for other build systems; without -B. Makefiles can have all of it from
#     `pkg-config --variable=instrument calltap`.
#
# clang's entries do not survive gold with --gc-sections; use bfd or lld. `calltap list` shows what is there.
#
# GCC 8 or clang 10 and later; x86-64, AArch64, RISC-V (64 bit).
include_guard(GLOBAL)

# Where the assembler is: beside this file in the source tree; CalltapConfig.cmake says where it is installed.
if(NOT DEFINED CALLTAP_GCC_DIRECTORY)
  set(CALLTAP_GCC_DIRECTORY ${CMAKE_CURRENT_LIST_DIR}/gcc)
endif()
set_property(GLOBAL PROPERTY CALLTAP_GCC_DIRECTORY ${CALLTAP_GCC_DIRECTORY})

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

# Sets CALLTAP_<language>_NEEDS_ASSEMBLER by what the compiler writes: GCC 11 and 12 tie a second function's entry to the
# first function, and leave that of an inline function out of the function's group.
function(_calltap_check_entries language flag)
  if(DEFINED CACHE{CALLTAP_${language}_NEEDS_ASSEMBLER})
    return()
  endif()
  set(needed FALSE)
  if(CMAKE_${language}_COMPILER_ID STREQUAL "GNU")
    if(language STREQUAL "C")
      set(probe ${CMAKE_BINARY_DIR}/CMakeFiles/calltap_entries.c)
      file(WRITE ${probe} "void first(void) {}\nvoid second(void) {}\n")
      set(wrong "__patchable_function_entries,\"awo\",[@%]progbits,[a-z]")
    else()
      set(probe ${CMAKE_BINARY_DIR}/CMakeFiles/calltap_entries.cpp)
      file(WRITE ${probe} "__attribute__((used)) inline void shared() {}\n")
      set(wrong "__patchable_function_entries,\"awo\",")
    endif()
    execute_process(COMMAND ${CMAKE_${language}_COMPILER} ${flag} -S ${probe} -o - OUTPUT_VARIABLE written)
    if(written MATCHES "${wrong}")
      set(needed TRUE)
    endif()
  endif()
  set(CALLTAP_${language}_NEEDS_ASSEMBLER ${needed} CACHE INTERNAL
    "The ${language} compiler writes entries that the assembler of Calltap corrects")
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
  target_compile_options(${target} ${scope} $<$<COMPILE_LANGUAGE:C,CXX>:${flag}>
    $<$<OR:$<COMPILE_LANG_AND_ID:C,GNU>,$<COMPILE_LANG_AND_ID:CXX,GNU>>:-fno-ipa-stack-alignment>)
  get_property(directory GLOBAL PROPERTY CALLTAP_GCC_DIRECTORY)
  # With -flto the assembler runs when the objects are linked: those of a static library in whatever links it.
  set(link_scope ${scope})
  if(type MATCHES "STATIC|OBJECT" AND scope STREQUAL "PRIVATE")
    set(link_scope INTERFACE)
  endif()
  get_property(languages GLOBAL PROPERTY ENABLED_LANGUAGES)
  foreach(language IN ITEMS C CXX)
    if(language IN_LIST languages)
      _calltap_check_compiler(${language} ${flag})
      _calltap_check_entries(${language} ${flag})
      if(CALLTAP_${language}_NEEDS_ASSEMBLER)
        target_compile_options(${target} ${scope} "$<$<COMPILE_LANGUAGE:${language}>:-B${directory}>")
        target_link_options(${target} ${link_scope} "-B${directory}")
      endif()
    endif()
  endforeach()
endfunction()
