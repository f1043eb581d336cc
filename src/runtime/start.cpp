// What happens when the library is loaded, and at the start and end of threads.
#include <pthread.h>

#include <algorithm>
#include <cstring>
#include <string_view>

#include "isa/system.h"
#include "ops/engine.h"
#include "ops/transaction.h"
#include "recorder/client.h"
#include "recorder/process.h"
#include "runtime/near_code.h"
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

// While the process starts, the tool is told of modules through the connection that is open already.
Connection* start_connection = nullptr;

/// Tells the tool which numbers a module's functions have.
void tell_tool(const ops::Attached& attached) {
  Connection own;
  Connection* connection = start_connection;
  if (connection == nullptr) {
    buffer::Hello hello;
    hello.reason = buffer::HelloReason::kModules;
    std::memcpy(hello.parent_uuid, recording_uuid().data(), sizeof hello.parent_uuid);
    if (!own.open() || !own.send({reinterpret_cast<const std::uint8_t*>(&hello), sizeof hello})) return;
    connection = &own;
  }
  const ops::Module& module = attached.module;
  static std::uint8_t message[sizeof(buffer::Module) + ops::Module::kMaxPath];  // under the engine's lock
  buffer::Module m;
  m.load_bias = module.load_bias;
  m.first_function = module.first_function;
  m.site_count = module.site_count;
  m.patched_count = attached.prepared;
  m.refused_count = attached.refused;
  const std::span<const std::uint8_t> build_id = module.file.build_id();
  m.build_id_bytes = static_cast<std::uint32_t>(std::min(build_id.size(), sizeof m.build_id));
  std::memcpy(m.build_id, build_id.data(), m.build_id_bytes);
  m.path_bytes = static_cast<std::uint32_t>(std::strlen(module.path));
  m.header.size = static_cast<std::uint32_t>(sizeof m + m.path_bytes);
  std::memcpy(message, &m, sizeof m);
  std::memcpy(message + sizeof m, module.path, m.path_bytes);
  static_cast<void>(connection->send({message, m.header.size}));
}

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

/// Filters as the Welcome message has them: 'F' or 'N', the pattern, a zero byte.
bool add_filters(std::span<const std::uint8_t> text, ops::FunctionFilter& filter) {
  for (std::size_t at = 0; at < text.size();) {
    const auto* pattern = reinterpret_cast<const char*>(text.data() + at + 1);
    const std::size_t length = strnlen(pattern, text.size() - at - 1);
    if (!filter.add_pattern({pattern, length}, text[at] == 'N')) return false;
    at += length + 2;
  }
  return true;
}

void after_fork_in_child() {
  ops::unlock_after_fork();
  trampoline::fix_guards_after_fork();
  recorder::forget_parent();
}

void record() {
  static std::uint8_t welcome[buffer::kMaxMessage];
  Connection connection;
  const auto filters = join(connection, buffer::HelloReason::kStart, welcome);
  if (!filters) return;
  ops::FunctionFilter filter;
  ops::keep_modules_closed(true);
  start_connection = &connection;
  // Without core synchronisation only a process with one thread can be patched, and a program loads modules
  // at any time.
  if (!add_filters(*filters, filter) || !ops::start_engine(ops::EngineStart::kProcessStarts) ||
      !recorder::attach(filter, tell_tool)) {
    recorder::process().mode.store(recorder::Mode::kOff);
    return;
  }
  start_connection = nullptr;
  const buffer::Ready ready;
  static_cast<void>(connection.send({reinterpret_cast<const std::uint8_t*>(&ready), sizeof ready}));
}

/// CALLTAP_CALL_OPS: 0 for nowhere, something else for wherever that is possible.
ops::UseCalls read_use_of_calls(char** environment) {
  constexpr std::string_view kVariable = "CALLTAP_CALL_OPS=";
  for (char** entry = environment; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    if (text.substr(0, kVariable.size()) != kVariable) continue;
    return text.substr(kVariable.size()) == "0" ? ops::UseCalls::kNever : ops::UseCalls::kAlways;
  }
  return ops::UseCalls::kWhereBetter;
}

void start(char** environment) {
  trampoline::main_stack_address = reinterpret_cast<std::uint64_t>(environment);
  has_thread_key = pthread_key_create(&thread_key, end_thread) == 0 && thread_key < kInlineKeys;
  pthread_atfork(ops::lock_for_fork, ops::unlock_after_fork, after_fork_in_child);
  use_code_near_program(environment);
  ops::use_calls(read_use_of_calls(environment));
  if (find_session(environment) && recorder::initialise()) record();
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
