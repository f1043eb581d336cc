# CALLTAP_SANITIZE: the argument of -fsanitize= for everything but the in-target library, which may need libc only and
# runs inside the program's own memory accesses. Unit tests and the tool are what a sanitizer can say something about.
set(CALLTAP_SANITIZE "" CACHE STRING "Sanitizers for core, tool and unit tests, e.g. address,undefined")

if(CALLTAP_SANITIZE)
  add_compile_options(-fsanitize=${CALLTAP_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${CALLTAP_SANITIZE})
endif()
