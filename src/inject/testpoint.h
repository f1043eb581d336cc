// A place for tests to act between any two things that are done to the other process.
#pragma once

namespace calltap::inject {

/// Called before every ptrace request, with its name, if not null.
extern void (*testpoint)(const char* what);

}  // namespace calltap::inject
