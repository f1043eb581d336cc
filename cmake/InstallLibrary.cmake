# `cmake --install`: in-target library, headers, the assembler for GCC, and what other builds need to find them.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/Calltap)

set_target_properties(calltap-runtime PROPERTIES EXPORT_NAME calltap)
install(TARGETS calltap-runtime EXPORT CalltapTargets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
if(TARGET calltap-trampolines)
  install(TARGETS calltap-trampolines LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
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
