#include "cli/control_client.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <thread>

#include "cli/module_sources.h"
#include "cli/record_target.h"
#include "trace/printable.h"

namespace calltap::cli {
namespace {

namespace fs = std::filesystem;

// Longer than the process waits for a few other tools that hang.
constexpr int kConnectMs = 20'000;
// A line for every function of a very large program.
constexpr std::size_t kMaxAnswer = std::size_t{1} << 30;
constexpr int kIdsSignal = 33;  // glibc's: changes the ids of all threads

constexpr std::uint64_t bit_of(int signal) { return std::uint64_t{1} << (signal - 1); }

[[noreturn]] void refuse(pid_t pid, const std::string& why) {
  throw SourceError(fmt::format("process {}: {}", pid, why));
}

bool exists(pid_t pid) { return ::kill(pid, 0) == 0 || errno == EPERM; }

/// While it lives the calling thread makes sockets in the process's network namespace.
class NetworkOf {
 public:
  explicit NetworkOf(pid_t pid) {
    const std::string theirs = fmt::format("/proc/{}/ns/net", pid);
    struct stat own_status = {};
    struct stat their_status = {};
    if (::stat("/proc/self/ns/net", &own_status) != 0 || ::stat(theirs.c_str(), &their_status) != 0) return;
    if (own_status.st_ino == their_status.st_ino && own_status.st_dev == their_status.st_dev) return;
    own_ = Descriptor(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
    const Descriptor there(::open(theirs.c_str(), O_RDONLY | O_CLOEXEC));
    if (there.get() < 0 || ::setns(there.get(), CLONE_NEWNET) != 0) {
      own_ = Descriptor();
      refuse(pid, fmt::format("it is in another network namespace, which cannot be entered ({}); run calltap "
                              "as root or in its container",
                              std::strerror(errno)));
    }
  }
  ~NetworkOf() {
    if (own_.get() >= 0 && ::setns(own_.get(), CLONE_NEWNET) != 0) std::abort();
  }
  NetworkOf(const NetworkOf&) = delete;
  NetworkOf& operator=(const NetworkOf&) = delete;

 private:
  Descriptor own_;
};

std::string status_line(const std::string& path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(key)) return line.substr(key.size());
  }
  return {};
}

/// It is there, and not only until its parent has heard of its end.
bool is_alive(pid_t pid) {
  return exists(pid) &&
         status_line(fmt::format("/proc/{}/status", pid), "State:").find('Z') == std::string::npos;
}

bool is_stopped(pid_t pid) {
  return status_line(fmt::format("/proc/{}/status", pid), "State:").find('T') != std::string::npos;
}

/// Another thread of that name would end the process at our signal. The control thread blocks all signals but
/// the four that it cannot or must not, and, as the kernel shows it, the one that it waits for. While it
/// changes code it blocks all that can be blocked.
bool has_control_mask(const std::string& task) {
  constexpr std::uint64_t kOpen = bit_of(SIGKILL) | bit_of(SIGSTOP) | bit_of(SIGTRAP) | bit_of(kIdsSignal);
  const std::string mask = status_line(task + "/status", "SigBlk:");
  return (std::strtoull(mask.c_str(), nullptr, 16) | bit_of(buffer::kControlSignal) | kOpen) ==
         ~std::uint64_t{0};
}

bool wait_readable(int fd, int timeout_ms) {
  pollfd watched = {fd, POLLIN, 0};
  int result = 0;
  do {
    result = ::poll(&watched, 1, timeout_ms);
  } while (result < 0 && errno == EINTR);
  return result > 0;
}

/// A message, and the descriptor that came with it, if any.
ssize_t receive(const Descriptor& socket, std::vector<char>& message, Descriptor& file) {
  iovec part = {message.data(), message.size()};
  alignas(cmsghdr) std::uint8_t control[CMSG_SPACE(sizeof(int))] = {};
  msghdr header = {};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  const ssize_t n = ::recvmsg(socket.get(), &header, MSG_CMSG_CLOEXEC);
  const cmsghdr* c = n > 0 ? CMSG_FIRSTHDR(&header) : nullptr;
  if (c != nullptr && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
      c->cmsg_len == CMSG_LEN(sizeof(int))) {
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(c), sizeof fd);
    file = Descriptor(fd);
  }
  return n;
}

std::uint64_t random_number() {
  std::random_device random;
  return std::uint64_t{random()} << 32 | random();
}

/// The connection of the process itself: others of its user could be faster. `thread` was asked for it.
Descriptor accept_from(const Descriptor& listener, pid_t pid, pid_t thread) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(kConnectMs);
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    constexpr int kStepMs = 50;
    if (left.count() <= 0) break;
    if (!wait_readable(listener.get(), std::min<int>(kStepMs, static_cast<int>(left.count())))) {
      if (!is_alive(pid)) refuse(pid, "it has ended");
      if (has_left(pid, thread)) throw SourceError(describe_left(pid));
      if (is_stopped(pid))
        refuse(pid, fmt::format("it is stopped by a signal: continue it first (kill -CONT {})", pid));
      continue;
    }
    Descriptor socket(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    ucred peer = {};
    socklen_t size = sizeof peer;
    if (socket.get() < 0 || ::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) continue;
    if (peer.pid == pid) return socket;
  }
  refuse(pid, "its control thread does not answer; it may be stopped, or serve another tool for long");
}

}  // namespace

Descriptor listen_near(pid_t pid, const std::string& name) {
  const NetworkOf there(pid);
  Descriptor listener(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  constexpr int kBacklog = 1024;
  if (listener.get() < 0 || ::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::listen(listener.get(), kBacklog) != 0) {
    throw SourceError(fmt::format("cannot open a socket: {}", std::strerror(errno)));
  }
  return listener;
}

pid_t find_control_thread(pid_t pid) {
  std::error_code error;
  for (const auto& task : fs::directory_iterator(fmt::format("/proc/{}/task", pid), error)) {
    std::ifstream file(task.path() / "comm");
    std::string name;
    std::getline(file, name);
    if (name == buffer::kControlThreadName && has_control_mask(task.path().string())) {
      return static_cast<pid_t>(std::atoi(task.path().filename().c_str()));
    }
  }
  return 0;
}

bool has_left(pid_t pid, pid_t control_thread) {
  if (::syscall(SYS_tgkill, pid, control_thread, 0) == 0 || errno != ESRCH) return false;
  // A process that ends loses its threads one by one. The ninth field, and the name may hold anything.
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  const std::string stat{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const std::size_t name_end = stat.rfind(')');
  unsigned long flags = 0;
  constexpr unsigned long kExiting = 4;
  return name_end != std::string::npos &&
         std::sscanf(stat.c_str() + name_end + 1, " %*c %*d %*d %*d %*d %*d %lu", &flags) == 1 &&
         (flags & kExiting) == 0;
}

std::string describe_left(pid_t pid) {
  return fmt::format("process {} was detached, or has executed another program", pid);
}

ControlClient::ControlClient(pid_t pid) : pid_(pid) {
  const pid_t thread = find_control_thread(pid);
  if (thread == 0) {
    if (!exists(pid)) refuse(pid, "no such process");
    refuse(pid, fmt::format("not attached; calltap attach {} does that", pid));
  }
  const std::uint64_t nonce = random_number();
  char name[buffer::kControlSocketName + 1];
  buffer::control_socket_name(nonce, name);
  const Descriptor listener = listen_near(pid, name);
  siginfo_t info = {};
  info.si_signo = buffer::kControlSignal;
  info.si_code = SI_QUEUE;
  info.si_pid = ::getpid();
  info.si_uid = ::getuid();
  info.si_value.sival_ptr = reinterpret_cast<void*>(nonce);
  if (::syscall(SYS_rt_tgsigqueueinfo, pid, thread, buffer::kControlSignal, &info) != 0) {
    refuse(pid, errno == EPERM ? "it is another user's; run calltap as that user or as root"
                               : std::strerror(errno));
  }
  socket_ = accept_from(listener, pid, thread);
  buffer::ControlHello hello;
  if (!wait_readable(socket_.get(), kConnectMs) ||
      ::recv(socket_.get(), &hello, sizeof hello, 0) != sizeof hello ||
      hello.header.magic != buffer::kMagic) {
    refuse(pid, "its runtime does not say what it is");
  }
  if (hello.header.version != buffer::kProtocolVersion ||
      hello.header.type != buffer::MessageType::kControlHello) {
    refuse(pid, fmt::format("its runtime speaks version {} of the protocol, this calltap version {}; use the "
                            "calltap that came with the runtime",
                            hello.header.version, buffer::kProtocolVersion));
  }
  hello.version[sizeof hello.version - 1] = '\0';
  version_ = hello.version;
}

std::string ControlClient::ask(buffer::Request request, const std::string& text, int timeout_ms) {
  return exchange(request, text, timeout_ms).text;
}

ControlClient::Answer ControlClient::ask_for_file(buffer::Request request) {
  constexpr int kTimeoutMs = 60'000;
  Answer answer = exchange(request, {}, kTimeoutMs);
  if (answer.file.get() < 0) refuse(pid_, "its answer makes no sense");
  return answer;
}

ControlClient::Answer ControlClient::exchange(buffer::Request request, const std::string& text,
                                              int timeout_ms) {
  buffer::ControlRequest message;
  message.request = request;
  message.text_bytes = static_cast<std::uint32_t>(text.size());
  message.header.size = static_cast<std::uint32_t>(sizeof message + text.size());
  if (message.header.size > buffer::kMaxMessage) throw SourceError("too many patterns for one request");
  iovec parts[2] = {{&message, sizeof message}, {const_cast<char*>(text.data()), text.size()}};
  msghdr header = {};
  header.msg_iov = parts;
  header.msg_iovlen = 2;
  if (::sendmsg(socket_.get(), &header, MSG_NOSIGNAL) < 0) refuse(pid_, "it has ended");
  Answer answer;
  std::vector<char> received(buffer::kMaxMessage);
  for (;;) {
    if (!wait_readable(socket_.get(), timeout_ms)) refuse(pid_, "its control thread does not answer");
    const ssize_t n = receive(socket_, received, answer.file);
    buffer::ControlReply reply;
    if (n <= 0) refuse(pid_, "it has ended, or closed the connection");
    if (static_cast<std::size_t>(n) < sizeof reply) refuse(pid_, "its answer makes no sense");
    std::memcpy(&reply, received.data(), sizeof reply);
    if (reply.header.type != buffer::MessageType::kControlReply ||
        reply.text_bytes != static_cast<std::size_t>(n) - sizeof reply) {
      refuse(pid_, "its answer makes no sense");
    }
    if (answer.text.size() + reply.text_bytes > kMaxAnswer) refuse(pid_, "its answer does not end");
    answer.text.append(received.data() + sizeof reply, reply.text_bytes);
    if ((reply.flags & buffer::ControlReply::kMore) != 0) continue;
    // With a file come messages and not text, unless it is an error.
    if (answer.file.get() < 0 || reply.error != 0)
      answer.text = trace::printable(std::move(answer.text), "\n\t");
    if (reply.error != 0) refuse(pid_, answer.text);
    return answer;
  }
}

ProcessStatus::ProcessStatus(const std::string& text) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t equals = line.find('=');
    if (equals != std::string::npos) lines_.emplace_back(line.substr(0, equals), line.substr(equals + 1));
  }
}

std::string ProcessStatus::get(const std::string& key) const {
  for (const auto& [name, value] : lines_) {
    if (name == key) return value;
  }
  return {};
}

std::vector<std::string> ProcessStatus::all(const std::string& key) const {
  std::vector<std::string> values;
  for (const auto& [name, value] : lines_) {
    if (name == key) values.push_back(value);
  }
  return values;
}

std::vector<std::string> fields_of(const std::string& line) {
  std::vector<std::string> fields;
  std::istringstream parts(line);
  for (std::string field; std::getline(parts, field, '\t');) fields.push_back(field);
  return fields;
}

}  // namespace calltap::cli
