#include "cli/live_session.h"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstring>

#include "buffer/session_protocol.h"
#include "cli/control_client.h"
#include "cli/filter_text.h"
#include "cli/module_sources.h"
#include "cli/session_messages.h"

namespace calltap::cli {
namespace {

constexpr std::uint64_t kCalibrateNs = 20'000'000;
constexpr int kPassMs = 5;

Descriptor watch_signals() {
  sigset_t signals;
  ::sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) ::sigaddset(&signals, signal);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  return Descriptor(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
}

std::future<std::string> ask_beside(pid_t pid, buffer::Request request, const std::string& text) {
  return std::async(std::launch::async,
                    [pid, request, text] { return ControlClient(pid).ask(request, text); });
}

}  // namespace

void LiveNames::add(const trace::ModuleFunctions& functions, const trace::ModuleDescription& place) {
  if (place.site_count == 0) return;
  const std::size_t end = std::size_t{place.first_function} - 1 + functions.functions.size();
  constexpr std::size_t kMost = std::size_t{1} << 27;
  if (end > kMost) return;
  if (names_.size() < end) names_.resize(end);
  std::size_t at = place.first_function - 1;
  for (const trace::FunctionDescription& function : functions.functions) {
    if (function.parameters) {
      parameters_.resize(names_.size());
      parameters_[at] = function.parameters;
    }
    names_[at++] = function.name;
  }
}

const trace::Parameters& LiveNames::parameters(std::uint32_t id) const {
  return id <= parameters_.size() ? parameters_[id - 1] : LiveFunctions::parameters(id);
}

void LiveNames::refresh() { session_.poll(0); }

LiveSession::LiveSession(const RecordOptions& options, pid_t pid)
    : options_(options),
      pid_(pid),
      name_(random_session_name()),
      listener_(listen_near(pid, name_)),
      signals_(watch_signals()),
      pidfd_(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))),
      clock_(ticks_.describe(kCalibrateNs)),
      memory_(options.buffers, random_uuid()),
      functions_(options.arguments),
      names_(*this),
      address_names_(pid) {
  if (pidfd_.get() < 0) throw SourceError(fmt::format("process {}: {}", pid, std::strerror(errno)));
}

LiveSession::~LiveSession() = default;

void LiveSession::poll(int timeout_ms) {
  std::vector<pollfd> watched = {
      {listener_.get(), POLLIN, 0}, {signals_.get(), POLLIN, 0}, {pidfd_.get(), POLLIN, 0}};
  for (const Client& client : clients_) watched.push_back({client.socket.get(), POLLIN, 0});
  if (::poll(watched.data(), watched.size(), timeout_ms) < 0) return;
  signalfd_siginfo info = {};
  if (::read(signals_.get(), &info, sizeof info) == sizeof info) interrupted_ = true;
  if (watched[2].revents != 0) ended_ = true;
  while (auto accepted = accept_session_client(listener_)) {
    if (accepted->pid != pid_) continue;  // a child of the process: it runs on unwatched
    clients_.emplace_back();
    clients_.back().socket = std::move(accepted->socket);
  }
  for (auto client = clients_.begin(); client != clients_.end();) {
    const auto here = client++;
    if (!serve(*here)) clients_.erase(here);
  }
}

bool LiveSession::serve(Client& client) {
  alignas(8) static std::uint8_t message[buffer::kMaxMessage];
  for (;;) {
    const ssize_t n = ::recv(client.socket.get(), message, sizeof message, 0);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    const auto size = static_cast<std::size_t>(n);
    buffer::MessageHeader header;
    if (size < sizeof header) return false;
    std::memcpy(&header, message, sizeof header);
    if (header.magic != buffer::kMagic || header.version != buffer::kProtocolVersion) return false;
    if (header.type == buffer::MessageType::kHello) {
      buffer::Hello hello;
      if (size < sizeof hello || client.greeted) return false;
      std::memcpy(&hello, message, sizeof hello);
      client.greeted = true;
      if (hello.reason == buffer::HelloReason::kModules) continue;
      // An image that the process executes is another program.
      if (hello.reason != buffer::HelloReason::kStart || welcomed_) return false;
      if (!send_welcome(client.socket, memory_, filter_text(options_))) return false;
      welcomed_ = true;
    } else if (header.type == buffer::MessageType::kModule && client.greeted) {
      if (const auto place = read_module({message, size})) {
        address_names_.add(*place);
        names_.add(*functions_.find(pid_, place->path, place->build_id, place->site_count), *place);
      }
    }
  }
}

bool LiveSession::pass() { return reader_ && reader_->pass(); }

void LiveSession::start_unattended() {
  memory_.leave_unattended();
  auto start = ask_beside(pid_, buffer::Request::kRecord, name_);
  poll_while(start);
  start.get();
}

void LiveSession::poll_while(std::future<std::string>& asked) {
  while (asked.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
    poll(kPassMs);
    if (welcomed_) pass();
  }
}

void LiveSession::run(trace::LiveSink& sink, const std::function<bool()>& is_done) {
  const trace::LiveSettings settings = trace::live_settings(clock_.frequency_hz);
  memory_.tie_life_to_thread();
  reader_.emplace(memory_, names_, sink, settings);
  auto start = ask_beside(pid_, buffer::Request::kRecord, name_);
  const pid_t control_thread = find_control_thread(pid_);
  poll_while(start);
  start.get();
  const auto end = std::chrono::steady_clock::now() + std::chrono::nanoseconds(options_.duration_ns);
  while (!interrupted_ && !ended_) {
    if (options_.duration_ns != 0 && std::chrono::steady_clock::now() >= end) break;
    const bool more = pass();
    if (is_done()) break;
    poll(more ? 0 : kPassMs);
    left_ = has_left(pid_, control_thread);
    if (left_) break;
  }
  if (!ended_ && !left_) {
    auto stop = ask_beside(pid_, buffer::Request::kStop, {});
    poll_while(stop);
    try {
      stop.get();
    } catch (const SourceError&) {
      poll(0);
      if (!ended_) throw;
    }
  }
  reader_->finish();
}

}  // namespace calltap::cli
