// Calls whose stacks the trigger `stacktrace` records: those of at_*. Each says on standard output where
// backtrace() finds its callers, a line "at_name address ...", without Calltap's own code. Started with
// "forbidden" it first has the system refuse process_vm_readv.
#include <dlfcn.h>
#include <execinfo.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>

#include "calls.h"
#include "stack_traces_code.h"

#define UNHOOKED __attribute__((noinline, patchable_function_entry(0)))

namespace {

volatile int sink;

UNHOOKED bool is_calltap(void* address) {
  Dl_info info;
  return dladdr(address, &info) != 0 && strstr(info.dli_fname, "libcalltap") != nullptr;
}

/// Called by at_*: leaves out itself and that.
UNHOOKED void say_callers(const char* name) {
  static void* found[1000];
  const int count = backtrace(found, 1000);
  printf("%s", name);
  for (int i = 2; i < count; ++i) {
    if (found[i] != nullptr && !is_calltap(found[i])) printf(" %p", found[i]);
  }
  printf("\n");
  fflush(stdout);
}

}  // namespace

#define AT(name)              \
  HOOKED void at_##name() {   \
    say_callers("at_" #name); \
    NOT_A_TAIL_CALL();        \
  }
/// Whose callers cannot all be found: backtrace() might find others than there are.
#define AT_QUIETLY(name) \
  HOOKED void at_##name() { NOT_A_TAIL_CALL(); }

extern "C" {

AT(plain)
AT(deep)
AT(qsort)
AT(signal)
AT(coroutine)
AT(thread)
AT(catch)
AT(tail)
AT(far_down)
AT(often)
AT_QUIETLY(no_cfi)
AT_QUIETLY(nowhere)
AT_QUIETLY(circle)
AT_QUIETLY(gone)

UNHOOKED void unhooked(void (*function)()) {
  volatile char room[100];
  room[sink & 63] = 1;
  function();
  sink = sink + (room[sink & 63] - 1);
  NOT_A_TAIL_CALL();
}

HOOKED void hooked(void (*function)()) {
  unhooked(function);
  NOT_A_TAIL_CALL();
}

/// A stack frame whose size the compiler does not know.
HOOKED void sized(int size) {
  auto* room = static_cast<volatile char*>(__builtin_alloca(static_cast<size_t>(size)));
  room[size - 1] = 1;
  hooked(at_deep);
  NOT_A_TAIL_CALL();
}

HOOKED int compare(const void* a, const void* b) {
  static bool done;
  if (!done) {
    done = true;
    at_qsort();
  }
  return *static_cast<const int*>(a) - *static_cast<const int*>(b);
}

UNHOOKED void sort() {
  int numbers[] = {3, 1, 2};
  qsort(numbers, 3, sizeof numbers[0], compare);
  sink = numbers[0];
}

HOOKED void handler(int) {
  at_signal();
  NOT_A_TAIL_CALL();
}

HOOKED void interrupted() {
  raise(SIGUSR1);
  NOT_A_TAIL_CALL();
}

ucontext_t scheduler;

HOOKED void coroutine() {
  hooked(at_coroutine);
  NOT_A_TAIL_CALL();
}

HOOKED void* thread(void*) {
  at_thread();
  NOT_A_TAIL_CALL();
  return nullptr;
}

HOOKED void throwing(int depth) {
  if (depth == 0) throw std::runtime_error("");
  throwing(depth - 1);
  NOT_A_TAIL_CALL();
}

HOOKED void catching() {
  try {
    throwing(3);
  } catch (const std::runtime_error&) {
    at_catch();
  }
}

/// Leaves its stack frame to the function that it jumps to.
HOOKED void jumping() { at_tail(); }

HOOKED void recursion(int depth) {
  if (depth == 0) {
    at_far_down();
  } else {
    recursion(depth - 1);
  }
  NOT_A_TAIL_CALL();
}

UNHOOKED void run_coroutine(size_t bytes) {
  const long page = sysconf(_SC_PAGESIZE);
  bytes = (bytes + static_cast<size_t>(page) - 1) / static_cast<size_t>(page) * static_cast<size_t>(page);
  // Nothing is mapped on either side.
  auto* memory = static_cast<char*>(
      mmap(nullptr, bytes + 2 * static_cast<size_t>(page), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  if (mprotect(memory + page, bytes, PROT_READ | PROT_WRITE) != 0) abort();
  ucontext_t context;
  getcontext(&context);
  context.uc_stack.ss_sp = memory + page;
  context.uc_stack.ss_size = bytes;
  context.uc_link = &scheduler;
  makecontext(&context, coroutine, 0);
  swapcontext(&scheduler, &context);
}

UNHOOKED void forbid_copying() {
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_readv, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program = {sizeof code / sizeof code[0], code};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
    abort();
}

}  // extern "C"

int main(int argc, char** argv) {
  if (argc > 1 && strcmp(argv[1], "forbidden") == 0) forbid_copying();
  void* first[1];
  backtrace(first, 1);  // loads libgcc_s
  at_plain();
  sized(300 + sink);
  sort();
  signal(SIGUSR1, handler);
  interrupted();
  stack_t alternate = {};
  alternate.ss_size = 65536;
  alternate.ss_sp = malloc(alternate.ss_size);
  sigaltstack(&alternate, nullptr);
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = SA_ONSTACK;
  sigaction(SIGUSR1, &action, nullptr);
  interrupted();
  run_coroutine(16384);
  pthread_t started;
  pthread_create(&started, nullptr, thread, nullptr);
  pthread_join(started, nullptr);
  catching();
  jumping();
  recursion(200);
  for (int i = 0; i < 10; ++i) at_often();
  call_without_table(at_no_cfi);
  call_with_frame_nowhere(at_nowhere);
  call_in_a_circle(at_circle);
  call_with_return_gone(at_gone);
  return 0;
}
