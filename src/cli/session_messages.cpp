#include "cli/session_messages.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstring>
#include <random>

#include "buffer/session_protocol.h"
#include "cli/module_sources.h"

namespace calltap::cli {

std::optional<SessionClient> accept_session_client(const Descriptor& listener) {
  for (;;) {
    Descriptor socket(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (socket.get() < 0) return std::nullopt;
    ucred peer = {};
    socklen_t size = sizeof peer;
    if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) continue;
    if (peer.uid != ::geteuid() && peer.uid != 0 && ::geteuid() != 0) continue;
    return SessionClient{std::move(socket), peer.pid};
  }
}

bool send_welcome(const Descriptor& socket, const trace::SharedMemory& memory, const std::string& filters,
                  std::uint32_t flags) {
  buffer::Welcome welcome;
  welcome.flags = flags;
  welcome.memory_bytes = memory.bytes();
  welcome.filter_bytes = static_cast<std::uint32_t>(filters.size());
  welcome.header.size = static_cast<std::uint32_t>(sizeof welcome + filters.size());
  iovec parts[2] = {{&welcome, sizeof welcome}, {const_cast<char*>(filters.data()), filters.size()}};
  alignas(cmsghdr) std::uint8_t control[CMSG_SPACE(sizeof(int))] = {};
  msghdr header = {};
  header.msg_iov = parts;
  header.msg_iovlen = 2;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  cmsghdr* c = CMSG_FIRSTHDR(&header);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(sizeof(int));
  const int fd = memory.fd();
  std::memcpy(CMSG_DATA(c), &fd, sizeof fd);
  return ::sendmsg(socket.get(), &header, MSG_NOSIGNAL) >= 0;
}

std::optional<trace::ModuleDescription> read_module(std::span<const std::uint8_t> message) {
  buffer::Module m;
  if (message.size() < sizeof m) return std::nullopt;
  std::memcpy(&m, message.data(), sizeof m);
  if (m.path_bytes > message.size() - sizeof m || m.build_id_bytes > sizeof m.build_id ||
      (m.first_function == 0) != (m.site_count == 0) ||
      m.site_count > (1u << 27) - m.first_function % (1u << 27)) {
    return std::nullopt;
  }
  trace::ModuleDescription place;
  place.path.assign(reinterpret_cast<const char*>(message.data() + sizeof m), m.path_bytes);
  place.build_id = hex({m.build_id, m.build_id_bytes});
  place.load_bias = m.load_bias;
  place.first_function = m.first_function;
  place.site_count = m.site_count;
  place.patched_count = m.patched_count;
  place.unpatchable_count = m.refused_count;
  return place;
}

std::array<std::uint8_t, 16> random_uuid() {
  std::array<std::uint8_t, 16> uuid{};
  std::random_device random;
  for (std::uint8_t& byte : uuid) byte = static_cast<std::uint8_t>(random());
  uuid[6] = (uuid[6] & 0x0f) | 0x40;  // version 4, variant 1 (RFC 4122)
  uuid[8] = (uuid[8] & 0x3f) | 0x80;
  return uuid;
}

std::string random_session_name() {
  std::random_device random;
  return fmt::format("calltap-{}-{:08x}{:08x}", ::getpid(), random(), random());
}

}  // namespace calltap::cli
