// What happens when the library is loaded, and at the start and end of threads.
#include <pthread.h>

#include <string_view>

#include "buffer/control_protocol.h"
#include "isa/system.h"
#include "ops/engine.h"
#include "ops/transaction.h"
#include "recorder/process.h"
#include "runtime/control.h"
#include "runtime/near_code.h"
#include "runtime/recording.h"
#include "runtime/session.h"
#include "trampoline/guards.h"
#include "trampoline/handlers.h"
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
  trampoline::release_guard(ct_thread);
}

void after_fork_in_child() {
  ops::unlock_after_fork();
  trampoline::fix_guards_after_fork();
  recorder::forget_parent();
  forget_control_thread();
}

/// What stands behind NAME= in the environment; null if it is not there.
const char* value_of(char** environment, std::string_view name) {
  for (char** entry = environment; entry != nullptr && *entry != nullptr; ++entry) {
    // Nothing of string_view that may throw: it would need the C++ library.
    if (std::string_view(*entry).starts_with(name) && (*entry)[name.size()] == '=')
      return *entry + name.size() + 1;
  }
  return nullptr;
}

/// CALLTAP_CALL_OPS: 0 for nowhere, something else for wherever that is possible.
ops::UseCalls read_use_of_calls(char** environment) {
  const char* value = value_of(environment, "CALLTAP_CALL_OPS");
  if (value == nullptr) return ops::UseCalls::kWhereBetter;
  return std::string_view(value) == "0" ? ops::UseCalls::kNever : ops::UseCalls::kAlways;
}

void start(char** environment) {
  trampoline::main_stack_address = reinterpret_cast<std::uint64_t>(environment);
  has_thread_key = pthread_key_create(&thread_key, end_thread) == 0 && thread_key < kInlineKeys;
  pthread_atfork(ops::lock_for_fork, ops::unlock_after_fork, after_fork_in_child);
  use_code_near_program(environment);
  ops::use_calls(read_use_of_calls(environment));
  if (find_session(environment) && recorder::initialise()) {
    ops::Failure failure;
    static_cast<void>(start_recording(ops::EngineStart::kProcessStarts, failure));
  }
  if (value_of(environment, buffer::kControlVariable) != nullptr) static_cast<void>(ct_start_control(0));
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
