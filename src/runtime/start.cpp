// What happens when the library is loaded, and at the start and end of threads.
#include <dlfcn.h>
#include <pthread.h>

#include <cstdlib>
#include <cstring>

#include "isa/system.h"
#include "patch/core_sync.h"
#include "recorder/process.h"
#include "runtime/modules.h"
#include "runtime/never_destroyed.h"
#include "runtime/session.h"
#include "trampoline/frames.h"
#include "trampoline/own_stack.h"

namespace calltap::runtime {
namespace {

pthread_key_t thread_key;
bool has_thread_key = false;

// Keys below this have their place in the thread's own block; above, setting one allocates, and a hooked call
// may be the program's allocator.
constexpr pthread_key_t kInlineKeys = 32;

/// Runs as late as destructors of thread-specific data can: others may still call hooked functions.
void end_thread(void* rounds) {
  const auto done = reinterpret_cast<std::uintptr_t>(rounds);
  if (done < PTHREAD_DESTRUCTOR_ITERATIONS) {
    pthread_setspecific(thread_key, reinterpret_cast<void*>(done + 1));
    if (done + 1 < PTHREAD_DESTRUCTOR_ITERATIONS) return;
  }
  const isa::SignalsBlocked blocked;
  trampoline::abandon_frames(ct_thread);
  recorder::end_thread(ct_thread);
  trampoline::release_chunks(ct_thread);
}

/// Filters as the Welcome message has them: 'F' or 'N', the pattern, a zero byte.
bool add_filters(std::span<const std::uint8_t> text, filter::Filter& filter) {
  for (std::size_t at = 0; at < text.size();) {
    const auto* pattern = reinterpret_cast<const char*>(text.data() + at + 1);
    const std::size_t length = strnlen(pattern, text.size() - at - 1);
    const auto added =
        text[at] == 'N' ? filter.add_notrace({pattern, length}) : filter.add({pattern, length});
    if (!added) return false;
    at += length + 2;
  }
  return true;
}

void start(char** environment) {
  if (!find_session(environment) || !recorder::initialise()) return;
  trampoline::main_stack_address = reinterpret_cast<std::uint64_t>(environment);
  has_thread_key = pthread_key_create(&thread_key, end_thread) == 0 && thread_key < kInlineKeys;
  static std::uint8_t welcome[buffer::kMaxMessage];
  static constinit NeverDestroyed<ModuleSettings> the_settings;
  ModuleSettings& settings = the_settings.create();
  Connection connection;
  const auto filters = join(connection, buffer::HelloReason::kStart, welcome);
  if (!filters) return;
  // Without it only a process with one thread can be patched, and a program loads modules at any time.
  if (!patch::register_core_sync() || !add_filters(*filters, settings.filter)) {
    recorder::process().mode.store(recorder::Mode::kOff);
    return;
  }
  if (!settings.filter.empty()) {
    settings.demangle = reinterpret_cast<site::Demangler::Function>(::dlsym(RTLD_DEFAULT, "__cxa_demangle"));
    settings.release = std::free;
  }
  set_module_settings(&settings);
  update_modules(&connection);
  static_cast<void>(watch_loader());  // without it, what is loaded later runs unhooked
  const buffer::Ready ready;
  static_cast<void>(connection.send({reinterpret_cast<const std::uint8_t*>(&ready), sizeof ready}));
}

// -z initfirst makes this the first constructor of the process, before libc's own: `environ` is not set yet,
// but the loader passes what main() will get.
__attribute__((constructor)) void on_load(int /*argc*/, char** /*argv*/, char** environment) {
  start(environment);
}

}  // namespace
}  // namespace calltap::runtime

extern "C" void ct_thread_started(calltap::trampoline::ThreadState*) {
  using namespace calltap::runtime;
  if (has_thread_key) pthread_setspecific(thread_key, reinterpret_cast<void*>(std::uintptr_t{1}));
}
