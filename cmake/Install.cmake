# `cmake --install`: tool, in-target library, headers, man pages, the assembler for GCC, and what other builds need to
# find them.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/Calltap)

install(TARGETS calltap RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
set_target_properties(calltap-runtime PROPERTIES EXPORT_NAME calltap)
install(TARGETS calltap-runtime EXPORT CalltapTargets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS calltap-trampolines LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
configure_file(cmake/version.h.in ${CMAKE_BINARY_DIR}/include/calltap/version.h @ONLY)
install(DIRECTORY include/ ${CMAKE_BINARY_DIR}/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h" PATTERN "*.hpp")

# GCC looks for its other programs in this directory too (-B): nothing but the assembler may be in it.
set(CALLTAP_INSTALL_GCC_DIR ${CMAKE_INSTALL_LIBEXECDIR}/calltap/gcc)
install(PROGRAMS cmake/gcc/as DESTINATION ${CALLTAP_INSTALL_GCC_DIR})

install(EXPORT CalltapTargets NAMESPACE Calltap:: DESTINATION ${package_dir})
configure_package_config_file(cmake/CalltapConfig.cmake.in ${CMAKE_BINARY_DIR}/package/CalltapConfig.cmake
  INSTALL_DESTINATION ${package_dir} PATH_VARS CMAKE_INSTALL_BINDIR CALLTAP_INSTALL_GCC_DIR)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/package/CalltapConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES
  cmake/CalltapInstrument.cmake
  ${CMAKE_BINARY_DIR}/package/CalltapConfig.cmake
  ${CMAKE_BINARY_DIR}/package/CalltapConfigVersion.cmake
  DESTINATION ${package_dir})

# The prefix in the .pc file is relative to the file itself, so an installed tree may be moved.
string(REGEX REPLACE "[^/]+" ".." up_from_libdir "${CMAKE_INSTALL_LIBDIR}")
set(CALLTAP_PC_PREFIX "\${pcfiledir}/../${up_from_libdir}")
calltap_entry_flag(CALLTAP_ENTRY_FLAG)
configure_file(cmake/calltap.pc.in ${CMAKE_BINARY_DIR}/package/calltap.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/package/calltap.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# docs/commands/calltap.md becomes calltap.1, docs/commands/record.md becomes calltap-record.1.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
file(GLOB pages CONFIGURE_DEPENDS docs/commands/*.md)
set(manuals)
foreach(page IN LISTS pages)
  get_filename_component(command ${page} NAME_WE)
  if(command STREQUAL "calltap")
    set(manual ${CMAKE_BINARY_DIR}/man/calltap.1)
  else()
    set(manual ${CMAKE_BINARY_DIR}/man/calltap-${command}.1)
  endif()
  add_custom_command(OUTPUT ${manual}
    COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/docs/man/make_man_page.py
            --version ${PROJECT_VERSION} ${page} ${manual}
    DEPENDS ${page} docs/man/make_man_page.py VERBATIM)
  list(APPEND manuals ${manual})
endforeach()
add_custom_target(man ALL DEPENDS ${manuals})
install(FILES ${manuals} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
