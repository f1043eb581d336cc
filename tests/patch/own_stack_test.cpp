// Where the thread's own stack lies is found once, at any moment of the program.
#include <gtest/gtest.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "trampoline/own_stack.h"

namespace calltap::trampoline {
namespace {

enum Status { kFound, kNotFound, kCannotTrace };

sigjmp_buf before;

[[noreturn]] void search_twice() {
  int local = 0;
  const auto here = reinterpret_cast<std::uint64_t>(&local);
  main_stack_address = here;
  struct sigaction action = {};
  action.sa_handler = [](int) { siglongjmp(before, 1); };
  if (::sigaction(SIGUSR1, &action, nullptr) != 0) ::_exit(kCannotTrace);
  if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(kCannotTrace);
  ::raise(SIGSTOP);
  if (sigsetjmp(before, 1) == 0) static_cast<void>(on_own_stack(ct_thread, here, here));
  ::_exit(on_own_stack(ct_thread, here, here) ? kFound : kNotFound);
}

/// Stops the child where it calls openat. False: it has ended, or cannot be traced.
bool run_to_openat(pid_t child, int& status) {
  for (;;) {
    if (::waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) return false;
    user_regs_struct registers = {};
    if (::ptrace(PTRACE_GETREGS, child, nullptr, &registers) != 0) return false;
    if (WSTOPSIG(status) == SIGTRAP && registers.orig_rax == SYS_openat) return true;
    if (::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr) != 0) return false;
  }
}

TEST(OwnStack, IsFoundAlsoWhenASignalHandlerHasLeftTheSearch) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) search_twice();
  int status = 0;
  if (!run_to_openat(child, status)) {
    if (WIFEXITED(status) && WEXITSTATUS(status) == kCannotTrace) GTEST_SKIP() << "ptrace is not allowed";
    FAIL() << "ended early, status " << status;
  }
  ASSERT_EQ(::kill(child, SIGUSR1), 0);
  ASSERT_EQ(::ptrace(PTRACE_CONT, child, nullptr, nullptr), 0);
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSTOPPED(status) && WSTOPSIG(status) == SIGUSR1) << status;
  ASSERT_EQ(::ptrace(PTRACE_CONT, child, nullptr, SIGUSR1), 0);
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == kFound) << status;
}

}  // namespace
}  // namespace calltap::trampoline
