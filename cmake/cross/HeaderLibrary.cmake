# calltap_header_library(target folder): a library of the host that consists of the headers in
# /usr/include/<folder>. A cross compiler must see them, but not the host's other headers: so they get a directory of
# their own.
include_guard(GLOBAL)

function(calltap_header_library target folder)
  if(TARGET ${target})
    return()
  endif()
  find_path(CALLTAP_HOST_HEADERS_${folder} ${folder} PATHS /usr/include NO_DEFAULT_PATH NO_CMAKE_FIND_ROOT_PATH REQUIRED)
  set(headers ${CMAKE_BINARY_DIR}/host_headers)
  file(MAKE_DIRECTORY ${headers})
  file(CREATE_LINK ${CALLTAP_HOST_HEADERS_${folder}}/${folder} ${headers}/${folder} SYMBOLIC)
  add_library(${target} INTERFACE IMPORTED GLOBAL)
  target_include_directories(${target} SYSTEM INTERFACE ${headers})
endfunction()
