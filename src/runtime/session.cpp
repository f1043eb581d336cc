#include "runtime/session.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <cstddef>
#include <cstring>

#include "isa/system.h"
#include "recorder/process.h"

namespace calltap::runtime {
namespace {

namespace native = isa::native;
using base::Error;
using base::ErrorCode;
using base::Result;

char socket_name[sizeof(sockaddr_un::sun_path)] = {};  // after a leading zero byte, which makes it abstract

/// Where the buffers are, or were and can be again.
struct Mapping {
  std::uint64_t address = 0;
  std::uint64_t bytes = 0;
};
Mapping buffers;        // of the present recording
Mapping spare_buffers;  // of an earlier one, now private memory without content

std::uint8_t the_recording[16] = {};

/// Same user, or root: anybody else may neither feed us a filter nor get our events.
bool is_trusted(long fd) {
  ucred peer = {};
  socklen_t size = sizeof peer;
  const long result = native::system_call(SYS_getsockopt, fd, SOL_SOCKET, SO_PEERCRED,
                                          reinterpret_cast<long>(&peer), reinterpret_cast<long>(&size));
  if (isa::is_error(result)) return false;
  return peer.uid == 0 || peer.uid == static_cast<uid_t>(native::system_call(SYS_geteuid));
}

void set_timeouts(int fd, std::uint64_t seconds) {
  const timeval timeout = {static_cast<time_t>(seconds), 0};
  for (const int option : {SO_RCVTIMEO, SO_SNDTIMEO}) {
    native::system_call(SYS_setsockopt, fd, SOL_SOCKET, option, reinterpret_cast<long>(&timeout),
                        sizeof timeout);
  }
}

}  // namespace

bool find_session(char** environment) {
  for (char** entry = environment; entry != nullptr && *entry != nullptr; ++entry) {
    const char* text = *entry;
    std::size_t key = 0;
    while (buffer::kSessionVariable[key] != '\0' && text[key] == buffer::kSessionVariable[key]) ++key;
    if (buffer::kSessionVariable[key] != '\0' || text[key] != '=') continue;
    const char* value = text + key + 1;
    return *value != '\0' && set_session(value);
  }
  return false;
}

bool set_session(std::string_view name) {
  if (name.size() + 1 >= sizeof socket_name) return false;
  std::memcpy(socket_name + 1, name.data(), name.size());
  socket_name[1 + name.size()] = '\0';
  return true;
}

std::string_view session_name() { return socket_name + 1; }

std::span<std::uint8_t, 16> recording_uuid() { return the_recording; }

void unmap_recording(bool unused) {
  if (buffers.bytes == 0) return;
  const long result = native::system_call(SYS_mmap, static_cast<long>(buffers.address),
                                          static_cast<long>(buffers.bytes), PROT_READ | PROT_WRITE,
                                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  // Without memory for that the pages stay shared with a tool that no longer looks at them.
  if (!isa::is_error(result) && unused && spare_buffers.bytes == 0) spare_buffers = buffers;
  buffers = {};
}

Connection::~Connection() {
  if (fd_ >= 0) native::system_call(SYS_close, fd_);
}

Result<void> Connection::open() { return open(session_name()); }

Result<void> Connection::open(std::string_view name) {
  if (name.empty()) return ErrorCode::kConnect;
  const long fd = native::system_call(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (isa::is_error(fd)) return Error(ErrorCode::kConnect, static_cast<int>(-fd));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (name.size() + 1 > sizeof address.sun_path) {
    native::system_call(SYS_close, fd);
    return ErrorCode::kConnect;
  }
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  const std::size_t size = offsetof(sockaddr_un, sun_path) + 1 + name.size();
  set_timeouts(static_cast<int>(fd), patience_seconds_);
  long result =
      native::system_call(SYS_connect, fd, reinterpret_cast<long>(&address), static_cast<long>(size));
  constexpr long kNotPermitted = -1;
  if (!isa::is_error(result) && !is_trusted(fd)) result = kNotPermitted;
  if (isa::is_error(result)) {
    native::system_call(SYS_close, fd);
    return Error(ErrorCode::kConnect, static_cast<int>(-result));
  }
  fd_ = static_cast<int>(fd);
  return {};
}

Result<void> Connection::send(std::span<const std::uint8_t> message) {
  const long n = native::system_call(SYS_sendto, fd_, reinterpret_cast<long>(message.data()),
                                     static_cast<long>(message.size()), MSG_NOSIGNAL, 0, 0);
  if (n != static_cast<long>(message.size()))
    return Error(ErrorCode::kConnect, n < 0 ? static_cast<int>(-n) : 0);
  return {};
}

Result<void> Connection::send(std::span<const std::uint8_t> message, int fd) {
  iovec part = {const_cast<std::uint8_t*>(message.data()), message.size()};
  alignas(cmsghdr) std::uint8_t control[CMSG_SPACE(sizeof(int))] = {};
  msghdr header = {};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  cmsghdr* c = CMSG_FIRSTHDR(&header);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(c), &fd, sizeof fd);
  const long n = native::system_call(SYS_sendmsg, fd_, reinterpret_cast<long>(&header), MSG_NOSIGNAL);
  if (n != static_cast<long>(message.size()))
    return Error(ErrorCode::kConnect, n < 0 ? static_cast<int>(-n) : 0);
  return {};
}

Result<Connection::Answer> Connection::receive(std::span<std::uint8_t> message) {
  iovec part = {message.data(), message.size()};
  alignas(cmsghdr) std::uint8_t control[CMSG_SPACE(sizeof(int))] = {};
  msghdr header = {};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = CMSG_LEN(sizeof(int));  // with the padding there would be room for a second one
  constexpr long kInterrupted = -4;
  long n = kInterrupted;
  while (n == kInterrupted) {
    n = native::system_call(SYS_recvmsg, fd_, reinterpret_cast<long>(&header), MSG_CMSG_CLOEXEC);
  }
  Answer answer;
  if (n > 0 && header.msg_controllen >= CMSG_LEN(sizeof(int))) {
    const cmsghdr* c = CMSG_FIRSTHDR(&header);
    if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
      std::memcpy(&answer.memory_fd, CMSG_DATA(c), sizeof answer.memory_fd);
    }
  }
  if (n < static_cast<long>(sizeof(buffer::MessageHeader))) {
    if (answer.memory_fd >= 0) native::system_call(SYS_close, answer.memory_fd);
    return ErrorCode::kProtocol;
  }
  answer.size = static_cast<std::size_t>(n);
  return answer;
}

namespace {

/// As a tool makes it, and it stays so: what is mapped can be read and written to its end.
bool is_sealed_memory(int fd, std::uint64_t bytes) {
  constexpr long kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
  constexpr std::uint64_t kMost = std::uint64_t{1} << 46;
  if (bytes < sizeof(buffer::Control) || bytes > kMost) return false;
  if (native::system_call(SYS_fcntl, fd, F_GET_SEALS) != kSeals) return false;
  return native::system_call(SYS_lseek, fd, 0, SEEK_END) == static_cast<long>(bytes);
}

/// What the runtime computes addresses from.
bool is_layout_known(const buffer::Control& control, std::uint64_t bytes) {
  return control.packet_count > 0 && control.packet_count <= buffer::kMaxPackets &&
         buffer::total_bytes(control.packet_count) <= bytes &&
         control.packets_offset == buffer::packets_offset(control.packet_count) &&
         control.packets_per_thread > 0 && control.packets_per_thread <= control.packet_count &&
         control.on_full <= buffer::OnFull::kFlight;
}

Result<void> map_recording(const buffer::Welcome& welcome, int memory_fd) {
  if (!is_sealed_memory(memory_fd, welcome.memory_bytes)) return ErrorCode::kProtocol;
  const bool reuse = spare_buffers.bytes == welcome.memory_bytes && spare_buffers.bytes != 0;
  const long memory = native::system_call(SYS_mmap, static_cast<long>(reuse ? spare_buffers.address : 0),
                                          static_cast<long>(welcome.memory_bytes), PROT_READ | PROT_WRITE,
                                          MAP_SHARED | MAP_NORESERVE | (reuse ? MAP_FIXED : 0), memory_fd, 0);
  if (isa::is_error(memory)) return Error(ErrorCode::kOutOfMemory, static_cast<int>(-memory));
  buffers = {static_cast<std::uint64_t>(memory), welcome.memory_bytes};
  if (reuse) spare_buffers = {};
  // A child must not reach its parent's packets, and does not need them.
  native::system_call(SYS_madvise, memory, static_cast<long>(welcome.memory_bytes), MADV_DONTFORK);
  const buffer::Pool pool(reinterpret_cast<void*>(memory));
  const buffer::Control& control = pool.control();
  if (control.magic != buffer::kMagic || control.version != buffer::kVersion ||
      !is_layout_known(control, welcome.memory_bytes)) {
    unmap_recording(true);
    return ErrorCode::kVersion;
  }
  std::memcpy(the_recording, control.uuid, sizeof the_recording);
  recorder::process().pool = pool;
  return {};
}

/// Maps the buffers, if all is as it should be. Returns the filters' text.
Result<std::span<const std::uint8_t>> accept_welcome(const Connection::Answer& answer,
                                                     std::span<const std::uint8_t> text) {
  buffer::Welcome welcome;
  if (answer.memory_fd < 0 || answer.size < sizeof welcome) return ErrorCode::kProtocol;
  std::memcpy(&welcome, text.data(), sizeof welcome);
  if (welcome.header.magic != buffer::kMagic || welcome.header.version != buffer::kProtocolVersion ||
      welcome.header.type != buffer::MessageType::kWelcome) {
    return ErrorCode::kVersion;
  }
  if (welcome.filter_bytes > answer.size - sizeof welcome) return ErrorCode::kProtocol;
  if (auto mapped = map_recording(welcome, answer.memory_fd); !mapped) return mapped.error();
  return text.subspan(sizeof welcome, welcome.filter_bytes);
}

Result<std::span<const std::uint8_t>> try_join(Connection& connection, buffer::HelloReason reason,
                                               std::span<std::uint8_t> text) {
  if (auto opened = connection.open(); !opened) return opened.error();
  buffer::Hello hello;
  hello.reason = reason;
  std::memcpy(hello.parent_uuid, the_recording, sizeof the_recording);
  auto sent = connection.send({reinterpret_cast<const std::uint8_t*>(&hello), sizeof hello});
  if (!sent) return sent.error();
  auto answer = connection.receive(text);
  if (!answer) return answer.error();
  auto accepted = accept_welcome(*answer, text);
  if (answer->memory_fd >= 0) native::system_call(SYS_close, answer->memory_fd);
  return accepted;
}

}  // namespace

Result<std::span<const std::uint8_t>> join(Connection& connection, buffer::HelloReason reason,
                                           std::span<std::uint8_t> text) {
  auto joined = try_join(connection, reason, text);
  recorder::process().pid = static_cast<std::uint32_t>(isa::current_pid());
  recorder::process().mode.store(joined ? recorder::Mode::kOn : recorder::Mode::kOff,
                                 std::memory_order_release);
  return joined;
}

}  // namespace calltap::runtime

namespace calltap::recorder {

// In a child after fork, inside its first hooked call. The answer's text (filters) is not needed: the child
// has its parent's sites.
void connect_process() {
  std::uint8_t text[sizeof(buffer::Welcome)];
  runtime::Connection connection;
  static_cast<void>(runtime::join(connection, buffer::HelloReason::kFork, text));
}

}  // namespace calltap::recorder
