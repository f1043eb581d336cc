#include "cli/record_session.h"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <future>
#include <iterator>
#include <system_error>

#include "buffer/session_protocol.h"
#include "cli/commands.h"
#include "cli/control_client.h"
#include "cli/filter_text.h"
#include "cli/module_sources.h"
#include "cli/process_description.h"
#include "cli/row_filter.h"
#include "cli/session_messages.h"

namespace calltap::cli {
namespace {

constexpr int kPollMs = 200;

[[noreturn]] void throw_errno(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

std::vector<std::string> filter_words(const RecordOptions& options) {
  std::vector<std::string> words;
  for (const std::string& f : options.functions) words.insert(words.end(), {"-F", f});
  for (const std::string& f : options.excluded) words.insert(words.end(), {"-N", f});
  return words;
}

}  // namespace

RecordSession::RecordSession(const RecordOptions& options, std::filesystem::path directory, pid_t attached)
    : options_(options),
      directory_(std::move(directory)),
      functions_(options.arguments),
      filter_(make_filter(options.functions, options.excluded)),
      attached_(attached) {
  totals_.max_bytes = options.max_bytes;
  totals_.has_words = options.arguments;
  name_ = random_session_name();
  listener_ = listen_near(attached == 0 ? ::getpid() : attached, name_);
  sigset_t signals;
  ::sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGCHLD}) ::sigaddset(&signals, signal);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  signals_ = Descriptor(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (signals_.get() < 0) throw_errno("cannot watch signals");
}

int RecordSession::run(pid_t child) {
  child_ = child;
  while (!stopped_ && (!child_ended_ || !processes_.empty() || !clients_.empty())) poll_once();
  if (stopped_) stop_all();
  if (progress_shown_) fmt::print(stderr, "\r\033[K");
  return child_status_;
}

void RecordSession::ask_attached_to_record() {
  ControlClient control(attached_);
  // The process comes to our socket before it answers.
  auto asked = std::async(std::launch::async, [&] { return control.ask(buffer::Request::kRecord, name_); });
  while (asked.wait_for(std::chrono::seconds(0)) != std::future_status::ready) poll_once();
  asked.get();
}

void RecordSession::run_attached() {
  const pid_t control_thread = find_control_thread(attached_);
  ask_attached_to_record();
  bool left = false;
  const auto end = std::chrono::steady_clock::now() + std::chrono::nanoseconds(options_.duration_ns);
  while (!stopped_ && (!processes_.empty() || !clients_.empty())) {
    if (options_.duration_ns != 0 && std::chrono::steady_clock::now() >= end) break;
    poll_once();
    if (left || !has_left(attached_, control_thread)) continue;
    left = true;  // its children may go on
    fail(describe_left(attached_).c_str());
    const auto process = std::find_if(processes_.begin(), processes_.end(),
                                      [this](const Process& p) { return p.recording->pid() == attached_; });
    if (process != processes_.end()) end_process(process, {trace::EndKind::kToolStopped, 0});
  }
  for (const Process& process : processes_) {
    const auto pid = static_cast<pid_t>(process.recording->pid());
    if (process.keeper != nullptr) process.keeper->stop();
    try {
      const bool brought = pid != attached_ && bring_runtime(pid);  // a child has no control thread
      ControlClient(pid).ask(brought ? buffer::Request::kDetach : buffer::Request::kStop);
    } catch (const SourceError& error) {
      // It may just have ended.
      if (::kill(pid, 0) == 0) fail(fmt::format("{}; its functions stay hooked", error.what()).c_str());
    }
  }
  stop_all();
  if (progress_shown_) fmt::print(stderr, "\r\033[K");
}

void RecordSession::poll_once() {
  std::vector<pollfd> watched = {{listener_.get(), POLLIN, 0}, {signals_.get(), POLLIN, 0}};
  for (const Client& client : clients_) watched.push_back({client.socket.get(), POLLIN, 0});
  for (const Process& process : processes_) watched.push_back({process.pidfd.get(), POLLIN, 0});
  if (::poll(watched.data(), watched.size(), kPollMs) < 0 && errno != EINTR)
    throw_errno("cannot wait for events");
  if (watched[1].revents != 0) handle_signal();
  // A process's last messages come before its end, also those on connections that were not accepted yet.
  std::size_t at = 2 + clients_.size();
  if (watched[0].revents != 0) accept_client();
  for (auto client = clients_.begin(); client != clients_.end();) {
    const auto here = client++;
    if (!serve(*here)) clients_.erase(here);
  }
  for (auto process = processes_.begin(); at < watched.size() && process != processes_.end(); ++at) {
    const auto here = process++;
    if (watched[at].fd != here->pidfd.get()) break;  // the list has changed: next time
    if (watched[at].revents == 0) continue;
    trace::ProcessEnd end{trace::EndKind::kEnded, 0};
    if (here->recording->pid() == child_) {
      if (!child_ended_ && ::waitpid(child_, &child_status_, WNOHANG) == child_) child_ended_ = true;
      if (!child_ended_) continue;
      end = WIFSIGNALED(child_status_)
                ? trace::ProcessEnd{trace::EndKind::kSignalled, WTERMSIG(child_status_)}
                : trace::ProcessEnd{trace::EndKind::kExited, WEXITSTATUS(child_status_)};
    }
    end_process(here, end);
  }
  show_progress();
}

void RecordSession::accept_client() {
  while (auto accepted = accept_session_client(listener_)) {
    Client client;
    client.socket = std::move(accepted->socket);
    client.pid = accepted->pid;
    clients_.push_back(std::move(client));
  }
}

bool RecordSession::serve(Client& client) {
  alignas(8) static std::uint8_t message[buffer::kMaxMessage];
  for (;;) {
    const ssize_t n = ::recv(client.socket.get(), message, sizeof message, 0);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    const auto size = static_cast<std::size_t>(n);
    buffer::MessageHeader header;
    if (size < sizeof header) return false;  // the end, or nonsense
    std::memcpy(&header, message, sizeof header);
    if (header.magic != buffer::kMagic || header.version != buffer::kProtocolVersion) return false;
    switch (header.type) {
      case buffer::MessageType::kHello: {
        buffer::Hello hello;
        if (size < sizeof hello || client.recording != nullptr) return false;
        std::memcpy(&hello, message, sizeof hello);
        if (!greet(client, hello)) return false;
        break;
      }
      case buffer::MessageType::kModule:
        add_module(client, message, size);
        break;
      case buffer::MessageType::kReady: {
        buffer::Ready ready;
        if (size < sizeof ready) break;
        std::memcpy(&ready, message, sizeof ready);
        if (BudgetKeeper* const keeper = keeper_of(client.recording))
          keeper->ready(ready.call_cost, ready.cpu_ns);
        break;
      }
      default:
        break;
    }
  }
}

bool RecordSession::greet(Client& client, const buffer::Hello& hello) {
  // Who gets no answer runs on unrecorded.
  const pid_t first = attached_ != 0 ? attached_ : child_;
  if (!options_.follows_children && client.pid != first) return false;
  if (hello.reason == buffer::HelloReason::kModules) {
    client.recording = find(hello.parent_uuid);
    return client.recording != nullptr;
  }
  for (auto process = processes_.begin(); process != processes_.end(); ++process) {
    if (process->recording->pid() == client.pid) {
      end_process(process, {trace::EndKind::kExecuted, 0});
      break;
    }
  }
  client.recording = start_process(client.pid);
  if (client.recording == nullptr) return false;
  if (hello.reason == buffer::HelloReason::kFork) inherit(*client.recording, hello.parent_uuid);
  return welcome(client, hello.reason == buffer::HelloReason::kStart);
}

void RecordSession::inherit(trace::ProcessRecording& child, const std::uint8_t* parent_uuid) {
  BudgetKeeper* const keeper = keeper_of(&child);
  if (const trace::ProcessRecording* parent = find(parent_uuid)) {
    child.inherit_modules(parent->modules());
    if (keeper != nullptr) keeper->inherit(keeper_of(parent)->heritage());
    return;
  }
  for (const Ended& ended : ended_) {
    if (std::memcmp(ended.uuid.data(), parent_uuid, ended.uuid.size()) != 0) continue;
    child.inherit_modules(ended.modules);
    if (keeper != nullptr) keeper->inherit(ended.heritage);
    return;
  }
  if (keeper != nullptr) keeper->inherit({});
}

BudgetKeeper* RecordSession::keeper_of(const trace::ProcessRecording* recording) {
  for (const Process& process : processes_) {
    if (process.recording.get() == recording) return process.keeper;
  }
  return nullptr;
}

trace::ProcessRecording* RecordSession::find(const std::uint8_t* uuid) {
  for (const Process& process : processes_) {
    const auto& own = process.recording->uuid();
    if (std::memcmp(own.data(), uuid, own.size()) == 0) return process.recording.get();
  }
  return nullptr;
}

trace::ProcessRecording* RecordSession::start_process(std::int64_t pid) {
  Process process;
  process.pidfd = Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (process.pidfd.get() < 0) return nullptr;  // it has ended already
  trace::ProcessDescription description = describe_process(pid);
  description.uuid = random_uuid();
  description.filters = filter_words(options_);
  std::filesystem::path directory;
  if (const std::error_code error =
          trace::create_process_directory(directory_, description.name, pid, directory)) {
    // The target runs on, and its events are drained and counted as lost.
    int none = 0;
    totals_.write_error.compare_exchange_strong(none, error.value());
    directory = directory_ / fmt::format("{}-{}", description.name, pid);
  }
  std::unique_ptr<BudgetKeeper> keeper;
  if (options_.budget != 0)
    keeper = std::make_unique<BudgetKeeper>(static_cast<pid_t>(pid), options_.budget, clock_);
  process.keeper = keeper.get();
  try {
    process.recording = std::make_unique<trace::ProcessRecording>(
        directory, std::move(description), options_.buffers, clock_, totals_, std::move(keeper));
  } catch (const std::exception& problem) {
    // The other processes have theirs already.
    fail(fmt::format("process {} is not recorded: {}", pid, problem.what()).c_str());
    refused_any_ = true;
    return nullptr;
  }
  ++started_;
  processes_.push_back(std::move(process));
  return processes_.back().recording.get();
}

bool RecordSession::welcome(Client& client, bool with_filters) {
  return send_welcome(client.socket, client.recording->memory(),
                      with_filters ? filter_text(options_) : std::string(),
                      options_.budget != 0 ? buffer::Welcome::kMeasureCost : 0);
}

void RecordSession::add_module(Client& client, const std::uint8_t* message, std::size_t size) {
  const auto module = read_module({message, size});
  if (client.recording == nullptr || !module) return;
  const trace::ModuleDescription& place = *module;
  patched_functions_ += place.patched_count;
  unpatchable_functions_ += place.unpatchable_count;
  auto functions = functions_.find(client.pid, place.path, place.build_id, place.site_count);
  const std::string missed =
      describe_missed_names(*functions, filter_, place.patched_count + place.unpatchable_count);
  if (!missed.empty() && warned_of_names_.insert(place.path).second) fail(missed.c_str());
  const auto& known = client.recording->modules();
  const bool is_new = std::none_of(known.begin(), known.end(), [&place](const trace::LoadedModule& m) {
    return m.place.path == place.path && m.place.load_bias == place.load_bias &&
           m.place.first_function == place.first_function;
  });
  // It comes again when filters have changed.
  if (BudgetKeeper* const keeper = keeper_of(client.recording); keeper != nullptr && is_new)
    keeper->replace(place.first_function, place.site_count);
  client.recording->add_module(std::move(functions), place);
}

void RecordSession::end_process(std::list<Process>::iterator process, trace::ProcessEnd end) {
  for (Client& client : clients_) {
    if (client.recording != process->recording.get()) continue;
    static_cast<void>(serve(client));  // a last module that was loaded
    client.recording = nullptr;
  }
  if (process->keeper != nullptr) process->keeper->stop();
  process->recording->finish(end);
  if (process->keeper != nullptr) add_to_budget(*process);
  // A child that was forked from it may come later.
  constexpr std::size_t kRemembered = 256;
  ended_.push_front({process->recording->uuid(), process->recording->modules(),
                     process->keeper == nullptr ? BudgetKeeper::Heritage() : process->keeper->heritage()});
  if (ended_.size() > kRemembered) ended_.pop_back();
  processes_.erase(process);
}

void RecordSession::add_to_budget(const Process& process) {
  const trace::BudgetDescription& budget = process.keeper->result();
  budget_.own_cpu_ns += budget.own_cpu_ns;
  budget_.overhead_ns += static_cast<double>(budget.overhead_ns);
  budget_.turned_off += budget.functions.size();
  for (const trace::TurnedOffFunction& function : budget.functions) budget_.off_at_end += function.at_end;
  if (budget.problem.empty()) return;
  const std::int64_t pid = process.recording->pid();
  if (budget_.problems++ == 0) budget_.problem = fmt::format("process {}: {}", pid, budget.problem);
}

void RecordSession::handle_signal() {
  signalfd_siginfo info = {};
  while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
    if (attached_ != 0) {
      stopped_ = stopped_ || info.ssi_signo != SIGCHLD;
      continue;
    }
    if (info.ssi_signo == SIGCHLD) {
      const bool recorded = std::any_of(processes_.begin(), processes_.end(),
                                        [this](const Process& p) { return p.recording->pid() == child_; });
      // A recorded child is waited for when its pidfd says so, after its last messages.
      if (!recorded && !child_ended_ && ::waitpid(child_, &child_status_, WNOHANG) == child_)
        child_ended_ = true;
      continue;
    }
    // From a terminal, the target has got it as well; sent to us alone, it is meant for the target.
    const bool from_terminal = info.ssi_code == SI_KERNEL;
    if (!from_terminal && !child_ended_) ::kill(child_, static_cast<int>(info.ssi_signo));
    if (++interrupts_ == 2 || child_ended_) {
      stopped_ = true;
      fmt::print(
          stderr, "calltap: stopping; {}\n",
          child_ended_ ? "children of the program run on unrecorded" : "the program runs on unrecorded");
    } else if (::isatty(STDERR_FILENO) != 0) {
      fmt::print(stderr, "\ncalltap: waiting for the program to end; once more to stop recording now\n");
    }
  }
}

void RecordSession::stop_all() {
  for (Process& process : processes_) process.recording->stop(event::DiscardReason::kToolGone);
  while (!processes_.empty()) end_process(processes_.begin(), {trace::EndKind::kToolStopped, 0});
}

void RecordSession::show_progress() {
  if (totals_.limit_reached.load() && !warned_limit_) {
    warned_limit_ = true;
    for (Process& process : processes_) process.recording->stop(event::DiscardReason::kSizeLimit);
    fail("the trace has reached --max-size; the program runs on, further events are only counted");
  }
  if (const int error = totals_.write_error.load(); error != 0 && !warned_write_) {
    warned_write_ = true;
    fail(fmt::format("cannot write to {}: {}; the program runs on, what is lost is counted",
                     directory_.string(), std::strerror(error))
             .c_str());
  }
  if (::isatty(STDERR_FILENO) == 0 || processes_.empty()) return;
  progress_shown_ = true;
  fmt::print(stderr, "\r\033[Kcalltap: {:.1f} M events, {:.1f} MB, {} process{}",
             static_cast<double>(totals_.events.load()) / 1e6,
             static_cast<double>(totals_.bytes.load()) / 1e6, processes_.size(),
             processes_.size() == 1 ? "" : "es");
  std::fflush(stderr);
}

}  // namespace calltap::cli
