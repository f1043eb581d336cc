// Functions patched with the smallest of the trampolines.
#include "patched_module.h"
#include "recorder/process.h"
#include "trampoline/code.h"

// The runtime's part that this test stands in for.
extern "C" void ct_thread_started(calltap::trampoline::ThreadState*) {}

namespace calltap::patch {

std::string PatchedModule::prepare() {
  if (!recorder::initialise()) return "no memory";
  return prepare(trampoline::code().bare_hook);
}

}  // namespace calltap::patch
