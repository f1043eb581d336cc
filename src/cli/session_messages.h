// What the tool says and hears on a session's socket: buffer/session_protocol.h.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "cli/descriptor.h"
#include "trace/description.h"
#include "trace/shared_memory.h"

namespace calltap::cli {

/// The next connection that is of the same user, or of or to root, with the id of its process; nothing if
/// there is none now.
struct SessionClient {
  Descriptor socket;
  std::int64_t pid = 0;
};
std::optional<SessionClient> accept_session_client(const Descriptor& listener);

/// `flags` as in buffer::Welcome. False: the process is gone.
bool send_welcome(const Descriptor& socket, const trace::SharedMemory& memory, const std::string& filters,
                  std::uint32_t flags = 0);

/// A Module message; nothing if it makes no sense.
std::optional<trace::ModuleDescription> read_module(std::span<const std::uint8_t> message);

/// Same as RecordSession's: a version 4 UUID.
std::array<std::uint8_t, 16> random_uuid();

/// Of a session's socket: nobody else can have taken it, and be waiting there, before us.
std::string random_session_name();

}  // namespace calltap::cli
