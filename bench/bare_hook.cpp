// Preloaded, hooks every function of the program with the trampoline that has no clock and writes no events:
// what a hook costs without recording. For bench/run only.
#include <link.h>
#include <unistd.h>

#include <numeric>

#include "base/never_destroyed.h"
#include "patch/core_sync.h"
#include "patch/patcher.h"
#include "recorder/process.h"
#include "runtime/near_code.h"
#include "site/sites.h"
#include "trampoline/code.h"
#include "trampoline/frames.h"
#include "trampoline/own_stack.h"

namespace calltap {
namespace {

/// The program is the first module that the loader lists.
int program_bias(dl_phdr_info* info, std::size_t /*size*/, void* bias) {
  *static_cast<std::uint64_t*>(bias) = info->dlpi_addr;
  return 1;
}

/// Null, or what could not be done.
const char* hook_program() {
  if (!recorder::initialise()) return "no memory";
  // Frames that an exception unwinds write events: there is nobody to write them for.
  recorder::process().mode.store(recorder::Mode::kOff);
  if (!patch::register_core_sync()) return "the kernel cannot synchronise cores";
  auto file = site::ElfFile::open("/proc/self/exe");
  if (!file) return "the program cannot be read";
  auto sites = site::discover(*file);
  if (!sites || sites->empty()) return "the program has no sites";
  base::Array<std::uint32_t> all;
  if (!all.resize(sites->size())) return "no memory";
  std::iota(all.begin(), all.end(), 0U);

  std::uint64_t bias = 0;
  ::dl_iterate_phdr(program_bias, &bias);
  static constinit base::NeverDestroyed<patch::ModulePatch> kept;
  patch::ModulePatch& module = kept.create();
  patch::Selection selection;
  selection.file = &*file;
  selection.sites = *sites;
  selection.selected = all;
  selection.load_bias = bias;
  selection.handler = trampoline::code().bare_hook;
  patch::Patcher patcher;
  const auto counts = patcher.prepare(selection, module);
  if (!counts || counts->prepared == 0) return "the program cannot be patched";
  if (!patcher.enable(module)) return "the program cannot be patched";
  return nullptr;
}

__attribute__((constructor)) void on_load(int /*argc*/, char** /*argv*/, char** environment) {
  trampoline::main_stack_address = reinterpret_cast<std::uint64_t>(environment);
  runtime::use_code_near_program(environment);
  const char* problem = hook_program();
  if (problem == nullptr) return;
  const char* const parts[] = {"bare hook: ", problem, "\n"};
  for (const char* part : parts) {
    if (::write(STDERR_FILENO, part, __builtin_strlen(part)) < 0) break;
  }
  ::_exit(1);
}

}  // namespace
}  // namespace calltap

extern "C" void ct_thread_started(calltap::trampoline::ThreadState* /*thread*/) {}
