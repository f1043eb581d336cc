// The library that holds a copy of the trampolines' code and nothing else: what the runtime fills in when it
// has loaded it (trampoline/code.h: use_code).
#include "trampoline/code.h"

extern "C" {
__attribute__((visibility("hidden"))) constinit calltap::trampoline::Imports ct_imports = {};
__attribute__((visibility("hidden"))) constinit const void* ct_personality_reference = nullptr;
}
