# `cmake --install`: the tool and its man pages, and the library where there is one.
install(TARGETS calltap RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
if(TARGET calltap-runtime)
  include(cmake/InstallLibrary.cmake)
endif()

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
