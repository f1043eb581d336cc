// call_in(): find out, prepare, then try threads until one is at a moment when it can be borrowed.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <memory>
#include <optional>
#include <thread>

#include "inject/delivery.h"
#include "inject/inject.h"
#include "inject/refusal.h"
#include "inject/target.h"
#include "inject/x86_64/borrowed_thread.h"
#include "inject/x86_64/thread_choice.h"
#include "inject/x86_64/thread_moment.h"

namespace calltap::inject {
namespace {

using std::chrono::milliseconds;

/// Two at a time would find each other's stops, and both load the library.
class OneAtATime {
 public:
  OneAtATime(pid_t pid, Clock::time_point until)
      : fd_(::open(fmt::format("/proc/{}", pid).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    while (fd_ >= 0 && ::flock(fd_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
      if (Clock::now() >= until)
        throw InjectError(fmt::format("process {} is busy with another calltap: try again", pid));
      std::this_thread::sleep_for(milliseconds(1));
    }
  }
  OneAtATime(const OneAtATime&) = delete;
  OneAtATime& operator=(const OneAtATime&) = delete;
  ~OneAtATime() {
    if (fd_ >= 0) ::close(fd_);
  }

 private:
  int fd_;
};

void copy_text(const std::string& text, char* to, std::size_t size) {
  if (text.size() >= size) throw InjectError(fmt::format("'{}' is too long", text));
  std::copy_n(text.c_str(), text.size() + 1, to);
}

/// One call. All in one thread: it is the tracer.
class Caller {
 public:
  explicit Caller(const Request& request)
      : request_(request),
        until_(Clock::now() + request.timeout),
        alone_(request.pid, until_),
        target_(request.pid) {
    prepare();
  }

  Result run() {
    milliseconds pause{1};
    for (;;) {
      const std::vector<Candidate> threads = candidates(request_.pid);
      if (threads.empty()) where_ = "all of them wait inside the kernel (vfork, a file system that hangs)";
      if (threads.empty() && has_ended(request_.pid))
        throw InjectError(fmt::format("process {} has ended meanwhile", request_.pid));
      for (const Candidate& candidate : threads) {
        if (Clock::now() >= until_) time_out();
        if (is_pending(candidate.thread)) continue;
        if (auto result = attempt(candidate)) return *result;
      }
      if (Clock::now() >= until_) time_out();
      std::this_thread::sleep_for(pause);
      pause = std::min(pause * 2, milliseconds(8));
    }
  }

 private:
  void prepare() {
    RemoteBlock& block = work_.block;
    block.errno_location = target_.loader.errno_location;
    block.dlopen = target_.loader.open;
    block.dlsym = target_.loader.symbol;
    block.dlerror = target_.loader.error;
    block.dlopen_flags = target_.loader.open_flags;
    block.argument = request_.argument;
    copy_text(request_.function, block.function, sizeof block.function);
    copy_text("/proc/self/fd/none", block.path, sizeof block.path);
    for (const Module& module : target_.modules) {
      if (module.soname != request_.soname || request_.soname.empty()) continue;
      const Function* function = module.function(request_.function);
      if (function == nullptr)
        throw InjectError(
            fmt::format("process {} has a {} loaded ({}) that does not know {}: it is another version; "
                        "use the calltap that belongs to it",
                        request_.pid, module.soname, module.path, request_.function));
      block.known = function->begin;
      return;
    }
    work_.library = read_library(request_.library);
    if (has_proc(request_.pid)) {
      block.use_memfd = 1;
      work_.used_paths = loader_names(target_.modules, target_.memory);
    } else {
      file_.emplace(request_.pid, work_.library);
      work_.file = &*file_;
      copy_text(file_->theirs(), block.path, sizeof block.path);
    }
  }

  /// None if this thread cannot be borrowed now.
  std::optional<Result> attempt(const Candidate& candidate) {
    if (candidate.disturbance == Disturbance::kEndedTimed)
      wait_for_next_call(request_.pid, candidate, Clock::now() + (until_ - Clock::now()) / 2);
    auto thread = std::make_unique<Tracee>(request_.pid, candidate.thread);
    if (const int error = thread->seize(); error != 0) {
      if (error == ESRCH || has_ended(candidate.thread)) return std::nullopt;
      throw_refused(request_.pid, error);
    }
    const Clock::time_point begin = Clock::now();
    thread->interrupt();
    if (!stopped(*thread)) {
      where_ = fmt::format("thread {} does not stop: it waits inside the kernel", candidate.thread);
      pending_.push_back(std::move(thread));
      return std::nullopt;
    }
    user_regs_struct registers{};
    // First of all what a call needs to be repeated: if we are killed from here on, it is.
    if (!thread->get(registers) || !thread->set(continued(registers))) return std::nullopt;
    if (!target_.is_there()) {
      let_go(*thread, registers);
      throw InjectError(
          fmt::format("process {} has executed another program meanwhile: try again", request_.pid));
    }
    if (std::string why = why_not_now(target_, *thread, registers); !why.empty()) {
      where_ = std::move(why);
      let_go(*thread, registers);
      return std::nullopt;
    }
    const RemoteResult remote = call_in_thread(target_, *thread, registers, work_, until_);
    const auto end = Clock::now();
    if (remote.not_now) {
      where_ = remote.error;
      return std::nullopt;
    }
    if (!remote.error.empty()) throw InjectError(fmt::format("process {}: {}", request_.pid, remote.error));
    return Result{remote.block.known != 0, remote.block.value, end - begin};
  }

  /// The thread: to that too the system says that it may not be traced.
  [[nodiscard]] bool has_ended(pid_t thread) const {
    const StatusFields status = status_of(request_.pid, thread);
    const auto state = status.find("State");
    return state == status.end() || state->second.find_first_of("ZX") == 0;
  }

  /// False if it takes too long.
  bool stopped(Tracee& thread) {
    const Clock::time_point until = Clock::now() + milliseconds(100);
    for (;;) {
      const Stop stop = thread.wait(until);
      switch (stop.kind) {
        case Stop::Kind::kTimeout:
          return false;
        case Stop::Kind::kInterrupted:
          if (stop.signal == SIGTRAP) return true;
          thread.detach();
          throw InjectError(
              fmt::format("process {} has been stopped by a signal: continue it first (kill -CONT {})",
                          request_.pid, request_.pid));
        case Stop::Kind::kSignal:
          thread.resume(stop.signal);
          break;
        case Stop::Kind::kSystemCall:
          thread.resume();
          break;
        case Stop::Kind::kExecuted:
          throw InjectError(
              fmt::format("process {} has executed another program meanwhile: try again", request_.pid));
        case Stop::Kind::kEnded:
          return true;  // the next request to it fails
      }
    }
  }

  /// Threads that did not stop in time are let go when they do.
  bool is_pending(pid_t thread) {
    std::erase_if(pending_, [](const std::unique_ptr<Tracee>& waiting) {
      const Stop stop = waiting->wait(Clock::now());
      if (stop.kind == Stop::Kind::kTimeout) return false;
      user_regs_struct registers{};
      if (stop.kind == Stop::Kind::kSignal) {
        waiting->resume(stop.signal);
        return false;
      }
      if (stop.kind == Stop::Kind::kInterrupted && waiting->get(registers)) let_go(*waiting, registers);
      return true;
    });
    return std::any_of(pending_.begin(), pending_.end(),
                       [&](const std::unique_ptr<Tracee>& waiting) { return waiting->thread() == thread; });
  }

  [[noreturn]] void time_out() {
    throw InjectError(
        fmt::format("process {}: none of its threads could be borrowed within {} ms{}{}: try again, or wait "
                    "longer",
                    request_.pid, request_.timeout.count(), where_.empty() ? "" : "; at last, ", where_));
  }

  const Request& request_;
  Clock::time_point until_;
  OneAtATime alone_;
  Target target_;
  RemoteWork work_;
  std::optional<DroppedFile> file_;
  std::vector<std::unique_ptr<Tracee>> pending_;
  std::string where_;
};

}  // namespace

// A thread that does not stop when asked to cannot be let go; only the end of its tracer does that. So the
// tracer is a thread of its own.
Result call_in(const Request& request) {
  Result result;
  std::exception_ptr error;
  std::thread tracer([&] {
    try {
      const WakeUps wake_ups;
      result = Caller(request).run();
    } catch (...) {
      error = std::current_exception();
    }
  });
  tracer.join();
  if (error) std::rethrow_exception(error);
  return result;
}

}  // namespace calltap::inject
