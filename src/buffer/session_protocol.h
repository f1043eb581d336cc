// What a target and the recording tool say to each other: fixed messages over a SOCK_SEQPACKET Unix socket
// with an abstract name, which the tool passes in the environment. Both sides check the other's credentials.
//
//   target                           tool
//   Hello  (a process image starts, or a child after fork)  ->
//          <-  Welcome + the memory file (buffer/shared_layout.h), or Refusal
//   Module (one for each module with sites)                 ->
//   Ready  (the program is about to run)                    ->
//
// The connection is closed after that; a module loaded later comes over a new one, with Hello{kModules} first
// and no answer. A message is as long as its struct, plus text where it says so.
#pragma once

#include <cstddef>
#include <cstdint>

#include "buffer/shared_layout.h"

namespace calltap::buffer {

inline constexpr char kSessionVariable[] = "CALLTAP_SESSION";
inline constexpr std::uint32_t kProtocolVersion = 1;
inline constexpr std::size_t kMaxMessage = 65536;

enum class MessageType : std::uint32_t {
  kHello = 1,
  kWelcome,
  kRefusal,
  kModule,
  kReady,
  // control_protocol.h
  kControlHello,
  kControlRequest,
  kControlReply,
};

struct MessageHeader {
  std::uint32_t magic = kMagic;
  std::uint32_t version = kProtocolVersion;
  MessageType type = MessageType::kHello;
  std::uint32_t size = 0;  // of the whole message
};

enum class HelloReason : std::uint32_t { kStart, kFork, kModules };

struct Hello {
  MessageHeader header{.type = MessageType::kHello, .size = sizeof(Hello)};
  HelloReason reason = HelloReason::kStart;
  std::uint32_t reserved = 0;
  std::uint8_t parent_uuid[16] = {};  // kFork: the recording whose modules the child has; kModules: its own
};

/// Followed by `filter_bytes` of text, entries with a zero byte behind each: 'F' or 'N' and the pattern of a
/// filter, 'T' and a trigger, "action:count:pattern" with an empty count for every time, or 'A' alone for the
/// arguments of calls.
struct Welcome {
  static constexpr std::uint32_t kMeasureCost = 1;  // Ready is to have it

  MessageHeader header{.type = MessageType::kWelcome, .size = sizeof(Welcome)};
  std::uint64_t memory_bytes = 0;
  std::uint32_t filter_bytes = 0;
  std::uint32_t flags = 0;
};

/// Followed by the path's text, `path_bytes` long.
struct Module {
  MessageHeader header{.type = MessageType::kModule, .size = sizeof(Module)};
  std::uint64_t load_bias = 0;
  std::uint32_t first_function = 0;
  std::uint32_t site_count = 0;
  std::uint32_t patched_count = 0;
  std::uint32_t refused_count = 0;
  std::uint32_t build_id_bytes = 0;
  std::uint32_t path_bytes = 0;
  std::uint8_t build_id[64] = {};
};

struct Ready {
  MessageHeader header{.type = MessageType::kReady, .size = sizeof(Ready)};
  std::uint64_t call_cost = 0;  // ticks that a thousand recorded calls take; 0: not measured
  std::uint64_t cpu_ns = 0;     // CPU time that the calling thread has needed for all this
};

}  // namespace calltap::buffer
