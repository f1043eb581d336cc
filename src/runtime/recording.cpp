#include "runtime/recording.h"

#include <algorithm>
#include <cstring>
#include <ctime>
#include <string_view>

#include "base/array.h"
#include "base/never_destroyed.h"
#include "isa/system.h"
#include "ops/open_modules.h"
#include "recorder/arguments.h"
#include "recorder/backtrace.h"
#include "recorder/call_cost.h"
#include "recorder/client.h"
#include "recorder/process.h"
#include "recorder/triggers.h"
#include "runtime/session.h"

namespace calltap::runtime {
namespace {

using base::ErrorCode;
using base::Result;

// While a recording starts, the tool is told of modules through the connection that is open already.
Connection* start_connection = nullptr;

// The last message about each module of the recording, also of those that have been unloaded: their events
// may still be in the buffers. Under the engine's lock.
constinit base::NeverDestroyed<base::Array<std::uint8_t>> told_modules;

/// Calls visit(message, bytes) for each of them; the bytes may be changed, but not their number.
template <class Visit>
void for_each_told_module(Visit visit) {
  base::Array<std::uint8_t>& told = told_modules.get();
  for (std::size_t at = 0; at < told.size();) {
    buffer::Module message;
    std::memcpy(&message, told.begin() + at, sizeof message);
    visit(message, std::span(told.begin() + at, message.header.size));
    at += message.header.size;
  }
}

/// A file that comes again has the same functions' numbers and the same message, but for where it lies.
void remember_told(std::span<const std::uint8_t> message) {
  buffer::Module told;
  std::memcpy(&told, message.data(), sizeof told);
  bool known = false;
  for_each_told_module([&](const buffer::Module& before, std::span<std::uint8_t> bytes) {
    if (before.first_function != told.first_function || bytes.size() != message.size()) return;
    std::memcpy(bytes.data(), message.data(), message.size());
    known = true;
  });
  // Without memory for it, a snapshot does not know the module once it has been unloaded.
  if (!known) static_cast<void>(told_modules.get().append(message));
}

constexpr std::size_t kMaxModuleMessage = sizeof(buffer::Module) + ops::Module::kMaxPath;

/// The message about a module, which is open. `room` holds kMaxModuleMessage bytes.
std::span<const std::uint8_t> describe(const ops::Module& module, std::uint32_t prepared,
                                       std::uint32_t refused, std::uint8_t* room) {
  buffer::Module m;
  m.load_bias = module.load_bias;
  m.first_function = module.first_function;
  m.site_count = module.site_count;
  m.patched_count = prepared;
  m.refused_count = refused;
  const std::span<const std::uint8_t> build_id = module.file.build_id();
  m.build_id_bytes = static_cast<std::uint32_t>(std::min(build_id.size(), sizeof m.build_id));
  std::memcpy(m.build_id, build_id.data(), m.build_id_bytes);
  m.path_bytes = static_cast<std::uint32_t>(std::strlen(module.path));
  m.header.size = static_cast<std::uint32_t>(sizeof m + m.path_bytes);
  std::memcpy(room, &m, sizeof m);
  std::memcpy(room + sizeof m, module.path, m.path_bytes);
  return {room, m.header.size};
}

/// Tells the tool which numbers a module's functions have.
void tell_tool(const ops::Attached& attached) {
  static std::uint8_t room[kMaxModuleMessage];  // under the engine's lock
  const std::span<const std::uint8_t> message =
      describe(attached.module, attached.prepared, attached.refused, room);
  remember_told(message);
  Connection own;
  Connection* connection = start_connection;
  if (connection == nullptr) {
    buffer::Hello hello;
    hello.reason = buffer::HelloReason::kModules;
    std::memcpy(hello.parent_uuid, recording_uuid().data(), sizeof hello.parent_uuid);
    if (!own.open() || !own.send({reinterpret_cast<const std::uint8_t*>(&hello), sizeof hello})) return;
    connection = &own;
  }
  static_cast<void>(connection->send(message));
}

/// Calls visit(kind, text) for each entry, until it fails. Errors: kProtocol.
template <class Visit>
Result<void> for_each_entry(std::span<const std::uint8_t> text, Visit visit) {
  for (std::size_t at = 0; at < text.size();) {
    const auto* entry = reinterpret_cast<const char*>(text.data() + at + 1);
    const std::size_t room = text.size() - at - 1;
    const std::size_t length = strnlen(entry, room);
    if (length == room) return ErrorCode::kProtocol;
    Result<void> done = visit(static_cast<char>(text[at]), std::string_view(entry, length));
    if (!done) return done;
    at += length + 2;
  }
  return {};
}

/// Takes what is before the first colon off the text, and the colon; all of it if there is none. (Nothing of
/// string_view that may throw: it would need the C++ library.)
std::string_view take_field(std::string_view& text) {
  std::size_t length = 0;
  while (length < text.size() && text[length] != ':') ++length;
  const std::string_view field(text.data(), length);
  text.remove_prefix(length < text.size() ? length + 1 : length);
  return field;
}

/// "action:count:pattern"
Result<void> add_trigger(std::string_view text, ops::Failure& failure) {
  using recorder::TriggerAction;
  const std::string_view action_name = take_field(text);
  const std::string_view digits = take_field(text);
  if (text.empty()) return ErrorCode::kProtocol;
  std::uint64_t count = digits.empty() ? recorder::kEveryTime : 0;
  for (const char digit : digits) {
    if (digit < '0' || digit > '9') return ErrorCode::kProtocol;
    count = count * 10 + static_cast<std::uint64_t>(digit - '0');
  }
  for (const TriggerAction action :
       {TriggerAction::kTraceOn, TriggerAction::kTraceOff, TriggerAction::kSnapshot, TriggerAction::kWhile,
        TriggerAction::kStackTrace}) {
    if (action_name == recorder::name(action)) return recorder::add_trigger(action, text, count, failure);
  }
  return ErrorCode::kProtocol;
}

bool wants_arguments(std::span<const std::uint8_t> text) {
  bool wanted = false;
  static_cast<void>(for_each_entry(text, [&wanted](char kind, std::string_view) -> Result<void> {
    wanted = wanted || kind == 'A';
    return {};
  }));
  return wanted;
}

/// The recorder's companions, which are registered before it.
Result<void> remove_companions(ops::Failure& failure) {
  if (auto removed = recorder::remove_arguments(failure); !removed) return removed;
  return recorder::remove_triggers(failure);
}

Result<void> attach(ops::EngineStart when, std::span<const std::uint8_t> text, ops::Failure& failure) {
  ops::FunctionFilter filter;
  ops::keep_modules_closed(true);
  if (auto read = read_filters(text, filter); !read) return read;
  // Without core synchronisation only a process with one thread can be patched, and a program loads modules
  // at any time.
  if (auto started = ops::start_engine(when); !started) return started;
  auto added = for_each_entry(text, [&failure](char kind, std::string_view entry) {
    return kind == 'T' ? add_trigger(entry, failure) : Result<void>();
  });
  if (added && wants_arguments(text)) added = recorder::add_arguments(filter, failure);
  if (added) added = recorder::attach(filter, tell_tool, failure);
  if (added) {
    recorder::arm_triggers();
    recorder::arm_arguments();
  }
  return added;
}

/// `message`: what join() has received.
bool wants_cost(const std::uint8_t* message) {
  buffer::Welcome welcome;
  std::memcpy(&welcome, message, sizeof welcome);
  return (welcome.flags & buffer::Welcome::kMeasureCost) != 0;
}

std::uint64_t thread_cpu_ns() {
  timespec time = {};
  isa::native::system_call(SYS_clock_gettime, CLOCK_THREAD_CPUTIME_ID, reinterpret_cast<long>(&time));
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_nsec);
}

/// After the client is gone.
void leave_recording() {
  unmap_recording(recorder::leave_pool());
  set_session({});
}

}  // namespace

void describe_modules(void (*put)(void* context, std::span<const std::uint8_t> message), void* context) {
  static std::uint8_t message[kMaxModuleMessage];  // under the engine's lock
  const ops::EngineLock lock;
  for_each_told_module([&](const buffer::Module& told, std::span<const std::uint8_t> bytes) {
    for (ops::Module* m = ops::first_module(); m != nullptr; m = m->next) {
      if (m->first_function == told.first_function && m->site_count != 0) return;
    }
    put(context, bytes);
  });
  const ops::OpenModules open;
  for (ops::Module* m = ops::first_module(); m != nullptr; m = m->next) {
    const bool is_wanted = m->patch.size() != 0 || (m->is_usable && recorder::has_backtraces());
    if (!is_wanted || !ops::open_module(*m)) continue;
    put(context, describe(*m, static_cast<std::uint32_t>(m->patch.size()), 0, message));
  }
}

Result<void> read_filters(std::span<const std::uint8_t> text, ops::FunctionFilter& filter) {
  return for_each_entry(text, [&filter](char kind, std::string_view entry) -> Result<void> {
    if (kind == 'T' || kind == 'A') return {};
    if (kind != 'F' && kind != 'N') return ErrorCode::kProtocol;
    return filter.add_pattern(entry, kind == 'N');
  });
}

Result<void> start_recording(ops::EngineStart when, ops::Failure& failure) {
  static std::uint8_t welcome[buffer::kMaxMessage];
  const std::uint64_t cpu_before = thread_cpu_ns();
  Connection connection;
  if (when == ops::EngineStart::kProgramRuns) connection.set_patience(kPatienceSeconds);
  const auto filters = join(connection, buffer::HelloReason::kStart, welcome);
  if (!filters) return filters.error();
  const std::uint64_t cost = wants_cost(welcome) ? recorder::measure_call_cost() : 0;
  told_modules.create_once().clear();
  start_connection = &connection;
  auto attached = attach(when, *filters, failure);
  start_connection = nullptr;
  if (!attached) {
    ops::Failure ignored;
    static_cast<void>(remove_companions(ignored));
    leave_recording();
    return attached;
  }
  buffer::Ready ready;
  ready.call_cost = cost;
  ready.cpu_ns = thread_cpu_ns() - cpu_before;
  static_cast<void>(connection.send({reinterpret_cast<const std::uint8_t*>(&ready), sizeof ready}));
  return {};
}

Result<void> stop_recording(ops::Failure& failure) {
  if (auto detached = recorder::detach(failure); !detached) return detached;
  if (auto removed = remove_companions(failure); !removed) return removed;
  leave_recording();
  return {};
}

}  // namespace calltap::runtime
