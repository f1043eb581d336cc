// How a tool asks something of a running process that carries the runtime. The process keeps no descriptor
// open for it: its control thread sleeps until a signal, and then comes to the tool.
//
//   tool                                            control thread of the process
//   listens on a socket with the abstract name      waits for kControlSignal, which no one else can send it:
//   control_socket_name(nonce)                      it is directed at the thread and blocked in it
//   rt_tgsigqueueinfo(kControlSignal, nonce)  ->
//                                             <-    connects; both check that the other is the same user or
//                                             root
//                                             <-    ControlHello
//   ControlRequest + text                     ->
//                                             <-    ControlReply + text, the last one without kMore
//   ... more requests; closing the connection ends it
//
// One connection at a time; signals queue. A message is as long as its struct and its text; anything else
// ends the connection.
#pragma once

#include <cstddef>
#include <cstdint>

#include "buffer/session_protocol.h"

namespace calltap::buffer {

/// The first real-time signal of the kernel. glibc has it for itself: no program sends it or waits for it,
/// and only threads that are cancelled, or that run timers of SIGEV_THREAD, get it from glibc (nptl(7)).
inline constexpr int kControlSignal = 32;
inline constexpr char kControlThreadName[] = "calltap-control";
/// Starts a process with its control thread, whatever the value.
inline constexpr char kControlVariable[] = "CALLTAP_CONTROL";

/// "calltap-control-" and 16 hexadecimal digits, without the leading zero byte.
inline constexpr std::size_t kControlSocketName = 32;
constexpr void control_socket_name(std::uint64_t nonce, char (&name)[kControlSocketName + 1]) {
  constexpr char kPrefix[] = "calltap-control-";
  std::size_t at = 0;
  for (; kPrefix[at] != '\0'; ++at) name[at] = kPrefix[at];
  for (int shift = 60; shift >= 0; shift -= 4) name[at++] = "0123456789abcdef"[nonce >> shift & 15];
  name[at] = '\0';
}

struct ControlHello {
  MessageHeader header{.type = MessageType::kControlHello, .size = sizeof(ControlHello)};
  std::uint32_t pid = 0;  // in its own namespace
  std::uint32_t reserved = 0;
  char version[32] = {};  // of the runtime
};

enum class Request : std::uint32_t {
  kStatus = 1,  // text: lines "key=value"
  kFunctions,   // text: as ct_enabled_functions()
  kRecord,      // with the name of a session: joins it, records what its Welcome says, and is Ready
  kStop,        // ends the recording: nobody writes into its buffers any more
  kFilter,      // with filters as in Welcome: what is recorded from now on
  kPause,       // no event from now on, but the recording goes on
  kResume,
  kMode,      // "wait" or "discard": what happens when the buffers are full; not in flight mode
  kSnapshot,  // flight mode: Module messages in a row, and with the last part a memory file like the buffers
  kLeaveOut,  // with function numbers as 32-bit words, ascending: they are not recorded from now on, and all
              // others that the filters select are. The reply has the ticks "begun=" and "done=".
  kDetach,    // kStop, all code as it was, and the control thread ends
};

struct ControlRequest {
  MessageHeader header{.type = MessageType::kControlRequest, .size = sizeof(ControlRequest)};
  Request request = Request::kStatus;
  std::uint32_t text_bytes = 0;
};

struct ControlReply {
  static constexpr std::uint32_t kMore = 1;

  MessageHeader header{.type = MessageType::kControlReply, .size = sizeof(ControlReply)};
  std::uint32_t flags = 0;
  std::int32_t error = 0;  // base::ErrorCode, 0: done. The text then says what is wrong.
  std::uint32_t text_bytes = 0;
  std::uint32_t reserved = 0;
};
inline constexpr std::size_t kMaxControlText = kMaxMessage - sizeof(ControlReply);

}  // namespace calltap::buffer
