#include "runtime/recording.h"

#include <algorithm>
#include <cstring>

#include "isa/system.h"
#include "recorder/client.h"
#include "recorder/process.h"
#include "runtime/session.h"

namespace calltap::runtime {
namespace {

using base::ErrorCode;
using base::Result;

// While a recording starts, the tool is told of modules through the connection that is open already.
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

Result<void> attach(ops::EngineStart when, std::span<const std::uint8_t> filters, ops::Failure& failure) {
  ops::FunctionFilter filter;
  ops::keep_modules_closed(true);
  if (auto read = read_filters(filters, filter); !read) return read;
  // Without core synchronisation only a process with one thread can be patched, and a program loads modules
  // at any time.
  if (auto started = ops::start_engine(when); !started) return started;
  return recorder::attach(filter, tell_tool, failure);
}

/// After the client is gone.
void leave_recording() {
  unmap_recording(recorder::leave_pool());
  set_session({});
}

}  // namespace

Result<void> read_filters(std::span<const std::uint8_t> text, ops::FunctionFilter& filter) {
  for (std::size_t at = 0; at < text.size();) {
    const auto* pattern = reinterpret_cast<const char*>(text.data() + at + 1);
    const std::size_t room = text.size() - at - 1;
    const std::size_t length = strnlen(pattern, room);
    if (length == room || (text[at] != 'F' && text[at] != 'N')) return ErrorCode::kProtocol;
    if (auto added = filter.add_pattern({pattern, length}, text[at] == 'N'); !added) return added;
    at += length + 2;
  }
  return {};
}

Result<void> start_recording(ops::EngineStart when, ops::Failure& failure) {
  static std::uint8_t welcome[buffer::kMaxMessage];
  Connection connection;
  const auto filters = join(connection, buffer::HelloReason::kStart, welcome);
  if (!filters) return filters.error();
  start_connection = &connection;
  auto attached = attach(when, *filters, failure);
  start_connection = nullptr;
  if (!attached) {
    leave_recording();
    return attached;
  }
  const buffer::Ready ready;
  static_cast<void>(connection.send({reinterpret_cast<const std::uint8_t*>(&ready), sizeof ready}));
  return {};
}

Result<void> stop_recording(ops::Failure& failure) {
  if (auto detached = recorder::detach(failure); !detached) return detached;
  leave_recording();
  return {};
}

}  // namespace calltap::runtime
