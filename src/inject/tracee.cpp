#include "inject/tracee.h"

#include <elf.h>
#include <fmt/format.h>
#include <linux/ptrace.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "inject/testpoint.h"

namespace calltap::inject {

void (*testpoint)(const char* what) = nullptr;

long Tracee::request(const char* name, int number, std::uintptr_t address, std::uintptr_t data) {
  if (testpoint != nullptr) testpoint(name);
  return ::syscall(SYS_ptrace, static_cast<long>(number), thread_, address, data);
}

namespace {
template <class T>
std::uintptr_t pointer(T* object) {
  return reinterpret_cast<std::uintptr_t>(object);
}
}  // namespace

int Tracee::seize() {
  constexpr std::uintptr_t kOptions = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC;
  if (request("seize", PTRACE_SEIZE, 0, kOptions) != 0) return errno;
  traced_ = true;
  return 0;
}

void Tracee::detach() {
  if (traced_) request("detach", PTRACE_DETACH, 0, 0);
  traced_ = false;
}

bool Tracee::interrupt() { return request("interrupt", PTRACE_INTERRUPT, 0, 0) == 0; }

bool Tracee::resume(int signal) {
  return request("cont", PTRACE_CONT, 0, static_cast<std::uintptr_t>(signal)) == 0;
}

bool Tracee::resume_to_system_call(int signal) {
  return request("syscall", PTRACE_SYSCALL, 0, static_cast<std::uintptr_t>(signal)) == 0;
}

bool Tracee::get(user_regs_struct& registers) {
  return request("getregs", PTRACE_GETREGS, 0, pointer(&registers)) == 0;
}

bool Tracee::set(const user_regs_struct& registers) {
  return request("setregs", PTRACE_SETREGS, 0, pointer(&registers)) == 0;
}

bool Tracee::get_vectors(std::vector<std::uint8_t>& state) {
  state.resize(1 << 16);
  iovec part{state.data(), state.size()};
  if (request("getregset", PTRACE_GETREGSET, NT_X86_XSTATE, pointer(&part)) != 0) return false;
  state.resize(part.iov_len);
  return true;
}

bool Tracee::set_vectors(const std::vector<std::uint8_t>& state) {
  iovec part{const_cast<std::uint8_t*>(state.data()), state.size()};
  return request("setregset", PTRACE_SETREGSET, NT_X86_XSTATE, pointer(&part)) == 0;
}

bool Tracee::get_signal_mask(std::uint64_t& mask) {
  return request("getsigmask", PTRACE_GETSIGMASK, sizeof mask, pointer(&mask)) == 0;
}

bool Tracee::set_signal_mask(std::uint64_t mask) {
  return request("setsigmask", PTRACE_SETSIGMASK, sizeof mask, pointer(&mask)) == 0;
}

std::uint64_t Tracee::rseq_area() {
  constexpr int kGetRseqConfiguration = 0x420F;  // since Linux 5.13; not in all headers
  struct {
    std::uint64_t area;
    std::uint32_t size, signature, flags, pad;
  } configuration{};
  if (request("getrseq", kGetRseqConfiguration, sizeof configuration, pointer(&configuration)) < 0) return 0;
  return configuration.area;
}

bool Tracee::signal_is_fault() {
  siginfo_t information{};
  return request("getsiginfo", PTRACE_GETSIGINFO, 0, pointer(&information)) == 0 && information.si_code > 0;
}

WakeUps::WakeUps() {
  // Not restarted: the wait is to end.
  struct sigaction action {};
  action.sa_handler = [](int) {};
  const int number = SIGRTMAX - 2;
  ::sigaction(number, &action, nullptr);
  sigevent event{};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = number;
  event._sigev_un._tid = static_cast<pid_t>(::syscall(SYS_gettid));
  if (::timer_create(CLOCK_MONOTONIC, &event, &timer_) != 0)
    throw std::system_error(errno, std::generic_category(), "timer_create");
  constexpr timespec kPeriod{0, 10'000'000};
  const itimerspec period{kPeriod, kPeriod};
  ::timer_settime(timer_, 0, &period, nullptr);
}

WakeUps::~WakeUps() { ::timer_delete(timer_); }

Stop Tracee::wait(Clock::time_point until) {
  int status = 0;
  // The thread stands still until we have its answer, so this blocks; WakeUps ends it now and then.
  for (;;) {
    const bool is_over = Clock::now() >= until;
    const pid_t got = ::waitpid(thread_, &status, __WALL | (is_over ? WNOHANG : 0));
    if (got == thread_) break;
    if (got < 0 && errno != EINTR) {
      traced_ = false;
      return {Stop::Kind::kEnded, 0, "has ended, or executed another program"};
    }
    if (is_over) return {};
  }
  if (WIFEXITED(status) || WIFSIGNALED(status)) {
    traced_ = false;
    return {Stop::Kind::kEnded, 0,
            WIFSIGNALED(status) ? fmt::format("was killed by signal {}", WTERMSIG(status)) : "has ended"};
  }
  const int event = status >> 16;
  const int signal = WSTOPSIG(status);
  if (event == PTRACE_EVENT_STOP) return {Stop::Kind::kInterrupted, signal, {}};
  if (event == PTRACE_EVENT_EXEC) return {Stop::Kind::kExecuted, 0, {}};
  if (signal == (SIGTRAP | 0x80)) return {Stop::Kind::kSystemCall, 0, {}};
  return {Stop::Kind::kSignal, signal, {}};
}

}  // namespace calltap::inject
