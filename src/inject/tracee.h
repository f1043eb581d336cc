// One thread of another process, traced by the calling thread.
#pragma once

#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/user.h>
#include <time.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace calltap::inject {

using Clock = std::chrono::steady_clock;

/// What a traced thread reported.
struct Stop {
  enum class Kind : std::uint8_t {
    kTimeout,  // nothing, in the time given
    kEnded,    // the thread or its process has ended, or another thread has executed a program
    kExecuted,
    kInterrupted,  // by us, or as part of its process being stopped by a signal
    kSystemCall,   // on the way in or out
    kSignal        // `signal` is about to be delivered
  };
  Kind kind = Kind::kTimeout;
  int signal = 0;
  std::string how_ended;
};

/// For as long as it lives, system calls of the calling thread that wait end with EINTR now and then:
/// Tracee::wait needs it. Takes the signal SIGRTMAX-2 of this process.
class WakeUps {
 public:
  WakeUps();
  WakeUps(const WakeUps&) = delete;
  WakeUps& operator=(const WakeUps&) = delete;
  ~WakeUps();

 private:
  timer_t timer_{};
};

/// Seized for as long as the object lives. All calls from the thread that made it, whose end releases what is
/// still traced.
class Tracee {
 public:
  Tracee(pid_t pid, pid_t thread) : pid_(pid), thread_(thread) {}
  Tracee(const Tracee&) = delete;
  Tracee& operator=(const Tracee&) = delete;
  ~Tracee() { detach(); }

  /// 0 or the error number.
  int seize();
  /// Only a stopped thread can be let go; another one is when the tracing thread ends.
  void detach();

  bool interrupt();
  bool resume(int signal = 0);
  bool resume_to_system_call(int signal = 0);
  Stop wait(Clock::time_point until);

  bool get(user_regs_struct& registers);
  bool set(const user_regs_struct& registers);
  bool get_vectors(std::vector<std::uint8_t>& state);
  bool set_vectors(const std::vector<std::uint8_t>& state);
  bool get_signal_mask(std::uint64_t& mask);
  bool set_signal_mask(std::uint64_t mask);
  /// Address of the thread's rseq area, 0 if it has none or the kernel does not tell.
  std::uint64_t rseq_area();
  /// Of the signal that the thread is stopped for: made by an instruction of its own.
  bool signal_is_fault();

  [[nodiscard]] pid_t thread() const { return thread_; }
  [[nodiscard]] pid_t process() const { return pid_; }

 private:
  long request(const char* name, int number, std::uintptr_t address, std::uintptr_t data);

  pid_t pid_;
  pid_t thread_;
  bool traced_ = false;
};

}  // namespace calltap::inject
