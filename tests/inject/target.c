// A program in one state, which checks that nothing happens to it: target STATE [OPTION...]. Prints "ready",
// goes on until there is something to read from standard input, and prints "rounds=N eintr=N errors=N".
// Options: alarms (a handler runs a thousand times a second), threads (so many threads in the state, the
// first one too).
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/rseq.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

static atomic_ulong rounds, interrupted, errors;
static atomic_ulong handled;
static bool alarms;

static const char* program_name;

struct State {
  const char* name;
  void (*run)(void);
};

static bool over(void) {
  struct pollfd input = {.fd = 0, .events = POLLIN};
  return poll(&input, 1, 0) > 0;
}

static void wrong(const char* what) {
  fprintf(stderr, "wrong: %s (errno %d)\n", what, errno);
  ++errors;
}

// What a call that waits came back with. A handler that runs may end it, with alarms.
static void check_result(long result, const char* what) {
  ++rounds;
  if (result >= 0) return;
  if (errno == EINTR) {
    if (!alarms) ++interrupted;
  } else if (errno != EAGAIN && errno != ETIMEDOUT) {
    wrong(what);
  }
}

static void busy(void) {
  while (!over())
    for (volatile int i = 0; i < 10000; ++i) ++rounds;
}

static void wait_read(void) {
  char byte;
  errno = ENOTTY;
  long result;
  while ((result = syscall(SYS_read, 0, &byte, 1)) < 0) check_result(result, "read");
  ++rounds;
}

static int futex_word;
static void wait_futex_timed(void) {
  while (!over()) {
    struct timespec time = {.tv_nsec = 20000000};
    check_result(syscall(SYS_futex, &futex_word, FUTEX_WAIT_PRIVATE, 0, &time, NULL, 0), "futex");
  }
}

static void* end_of_input(void* condition) {
  char byte;
  while (syscall(SYS_read, 0, &byte, 1) < 0) continue;
  futex_word = 1;
  syscall(SYS_futex, condition, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
  return NULL;
}
static void wait_futex(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, end_of_input, &futex_word);
  while (futex_word == 0)
    check_result(syscall(SYS_futex, &futex_word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0), "futex");
  pthread_join(thread, NULL);
}

static void wait_join(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, end_of_input, &futex_word);
  pthread_join(thread, NULL);
  ++rounds;
}

static void sleep_short(void) {
  while (!over()) {
    struct timespec time = {.tv_nsec = 30000000};
    check_result(nanosleep(&time, NULL), "nanosleep");
  }
}

static void wait_poll(int time_out) {
  struct pollfd input = {.fd = 0, .events = POLLIN};
  while (!over()) check_result(poll(&input, 1, time_out), "poll");
}
static void poll_for_ever(void) { wait_poll(-1); }
static void poll_timed(void) { wait_poll(50); }

static void wait_epoll(int time_out) {
  int queue = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN};
  epoll_ctl(queue, EPOLL_CTL_ADD, 0, &event);
  while (!over()) check_result(epoll_wait(queue, &event, 1, time_out), "epoll_wait");
}
static void epoll_for_ever(void) { wait_epoll(-1); }
static void epoll_timed(void) { wait_epoll(50); }

static void wait_signal(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  sigprocmask(SIG_BLOCK, &set, NULL);
  while (!over()) {
    struct timespec time = {.tv_nsec = 50000000};
    check_result(sigtimedwait(&set, NULL, &time), "sigtimedwait");
  }
}

// Waits for the signal that the test sends; the handler ends it, and only the handler.
static void count_usr1(int number) {
  (void)number;
  ++handled;
}
static void suspend(void) {
  struct sigaction action = {.sa_handler = count_usr1};
  sigset_t blocked, none;
  sigaction(SIGUSR1, &action, NULL);
  sigemptyset(&none);
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR1);
  sigprocmask(SIG_BLOCK, &blocked, NULL);
  while (!over()) {
    unsigned long before = handled;
    if (sigsuspend(&none) != -1 || errno != EINTR || (!alarms && handled == before)) ++interrupted;
    ++rounds;
    sigset_t now;
    sigprocmask(SIG_SETMASK, NULL, &now);
    if (!sigismember(&now, SIGUSR1)) wrong("signal mask");
  }
}

static void wait_pause(void) {
  struct sigaction action = {.sa_handler = count_usr1};
  sigaction(SIGUSR1, &action, NULL);
  while (!over()) {
    unsigned long before = handled;
    syscall(SYS_pause);
    if (!alarms && handled == before) ++interrupted;
    ++rounds;
  }
}

static void receive_timed(void) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) wrong("socketpair");
  struct timeval time = {.tv_usec = 50000};
  setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
  char byte;
  while (!over()) check_result(recv(pair[0], &byte, 1, 0), "recv");
}

static void wait_semaphore(void) {
  int set = semget(IPC_PRIVATE, 1, 0600);
  while (!over()) {
    struct sembuf down = {.sem_op = -1};
    struct timespec time = {.tv_nsec = 50000000};
    check_result(semtimedop(set, &down, 1, &time), "semtimedop");
  }
  semctl(set, 0, IPC_RMID);
}

static void* run_state(void* state) {
  ((const struct State*)state)->run();
  sigset_t set;
  sigprocmask(SIG_SETMASK, NULL, &set);
  // No state blocks these.
  if (sigismember(&set, SIGALRM) || sigismember(&set, SIGTERM)) wrong("signal mask");
  return NULL;
}

static void allocate(void) {
  while (!over())
    for (int i = 0; i < 20000; ++i) {
      void* block = malloc((size_t)(i * 37 % 3000));
      void* other = calloc(1, 5000);
      block = realloc(block, (size_t)(i % 9000));
      free(block);
      free(other);
      ++rounds;
    }
}

static const char* reloaded;
static void load_and_unload(void) {
  while (!over()) {
    void* handle = dlopen(reloaded, RTLD_NOW);
    if (handle == NULL || dlclose(handle) != 0) wrong(dlerror());
    ++rounds;
  }
}

// A stack with 2 KiB to spare, and something dear to us below it.
enum { kCoroutineStack = 4096 + 2048 };
static unsigned char guarded[65536];
static ucontext_t scheduler;
static void on_coroutine(void) {
  while (!over()) {
    for (volatile int i = 0; i < 100000; ++i) ++rounds;
    for (size_t i = 0; i < sizeof guarded - kCoroutineStack; ++i)
      if (guarded[i] != 0x5A) {
        wrong("below the coroutine's stack");
        return;
      }
  }
}
static void coroutine(void) {
  ucontext_t context;
  memset(guarded, 0x5A, sizeof guarded);
  getcontext(&context);
  context.uc_stack.ss_sp = guarded + sizeof guarded - kCoroutineStack;
  context.uc_stack.ss_size = kCoroutineStack;
  context.uc_link = &scheduler;
  makecontext(&context, on_coroutine, 0);
  swapcontext(&scheduler, &context);
}

// Every register and the red zone hold what only this loop puts there; it never calls anything until the
// count is over.
unsigned long keep_registers(unsigned long count);
__asm__(
    ".text\n.type keep_registers, @function\nkeep_registers:\n"
    "  push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n"
    "  mov $0x1111111111111111, %rax\n movq %rax, %xmm1\n mov $0x2222222222222222, %rbx\n"
    "  mov $0x3333333333333333, %rdx\n mov $0x4444444444444444, %rsi\n mov $0x5555555555555555, %rbp\n"
    "  mov $0x6666666666666666, %r8\n mov $0x7777777777777777, %r9\n mov $0x1234567812345678, %r10\n"
    "  mov $0x2345678923456789, %r11\n mov $0x3456789034567890, %r12\n mov $0x4567890145678901, %r13\n"
    "  mov $0x5678901256789012, %r14\n mov $0x6789012367890123, %r15\n"
    "  vpbroadcastq %xmm1, %ymm15\n vpaddq %ymm15, %ymm15, %ymm14\n fld1\n fldpi\n"
    "  mov %rbx, -8(%rsp)\n mov %rdx, -128(%rsp)\n mov %rbp, -64(%rsp)\n std\n"
    "1: mov $0x1111111111111111, %rcx\n cmp %rcx, %rax\n jne 2f\n"
    "  mov $0x2222222222222222, %rcx\n cmp %rcx, %rbx\n jne 2f\n cmp %rcx, -8(%rsp)\n jne 2f\n"
    "  mov $0x3333333333333333, %rcx\n cmp %rcx, %rdx\n jne 2f\n cmp %rcx, -128(%rsp)\n jne 2f\n"
    "  mov $0x4444444444444444, %rcx\n cmp %rcx, %rsi\n jne 2f\n"
    "  mov $0x5555555555555555, %rcx\n cmp %rcx, %rbp\n jne 2f\n cmp %rcx, -64(%rsp)\n jne 2f\n"
    "  mov $0x6666666666666666, %rcx\n cmp %rcx, %r8\n jne 2f\n"
    "  mov $0x7777777777777777, %rcx\n cmp %rcx, %r9\n jne 2f\n"
    "  mov $0x1234567812345678, %rcx\n cmp %rcx, %r10\n jne 2f\n"
    "  mov $0x2345678923456789, %rcx\n cmp %rcx, %r11\n jne 2f\n"
    "  mov $0x3456789034567890, %rcx\n cmp %rcx, %r12\n jne 2f\n"
    "  mov $0x4567890145678901, %rcx\n cmp %rcx, %r13\n jne 2f\n"
    "  mov $0x5678901256789012, %rcx\n cmp %rcx, %r14\n jne 2f\n"
    "  mov $0x6789012367890123, %rcx\n cmp %rcx, %r15\n jne 2f\n"
    "  vmovq %xmm15, %rcx\n cmp %rcx, %rax\n jne 2f\n"
    "  vextracti128 $1, %ymm14, %xmm13\n vmovq %xmm13, %rcx\n cmp %rcx, %rbx\n jne 2f\n"
    "  pushfq\n testl $0x400, (%rsp)\n lea 8(%rsp), %rsp\n jz 2f\n mov %rbx, -8(%rsp)\n"
    "  dec %rdi\n jnz 1b\n"
    "2: cld\n fldpi\n fcomip\n fstp %st\n jne 3f\n fld1\n fcomip\n fstp %st\n jne 3f\n"
    "  mov %rdi, %rax\n jmp 4f\n3: mov $-1, %rax\n4: vzeroupper\n"
    "  pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n ret\n");
static void registers(void) {
  while (!over()) {
    if (keep_registers(2000000) != 0) wrong("registers");
    ++rounds;
  }
}

static void keep_errno(void) {
  while (!over()) {
    errno = ENOTTY;
    for (volatile int i = 0; i < 3000000; ++i) continue;
    __asm__ volatile("" : : : "memory");  // it may have changed
    if (errno != ENOTTY) wrong("errno");
    ++rounds;
  }
}

static void run_in_handler(int number) {
  (void)number;
  busy();
}
// In a handler that has a stack of its own.
static void in_handler(void) {
  static char area[32768];
  stack_t stack = {.ss_sp = area, .ss_size = sizeof area};
  sigaltstack(&stack, NULL);
  struct sigaction action = {.sa_handler = run_in_handler, .sa_flags = SA_ONSTACK};
  sigaction(SIGUSR1, &action, NULL);
  raise(SIGUSR1);
}

// Functions that allocators are known by. The first waits inside; the second has left no frame but that of
// what it jumps to; the third makes a signal handler wait, on a stack of its own.
void mallocx(void);
__attribute__((noinline)) void mallocx(void) {
  poll_for_ever();
  __asm__ volatile("");
}
static void half_in_allocator(void) {
  if (getpid() == gettid())
    mallocx();
  else
    poll_for_ever();
}
static void dallocx_tail(void) __attribute__((noinline, used));
static void dallocx_tail(void) {
  poll_for_ever();
  __asm__ volatile("");
}
void dallocx(void);
__asm__(
    ".globl dallocx\n.type dallocx, @function\ndallocx: .cfi_startproc\n jmp dallocx_tail\n.cfi_endproc\n"
    ".size dallocx, . - dallocx\n");
void sallocx(void);
__attribute__((noinline)) void sallocx(void) {
  raise(SIGUSR1);
  __asm__ volatile("");
}
static void poll_in_handler(int number) {
  (void)number;
  poll_for_ever();
}
static void in_handler_above_allocator(void) {
  static char area[32768];
  stack_t stack = {.ss_sp = area, .ss_size = sizeof area};
  sigaltstack(&stack, NULL);
  struct sigaction action = {.sa_handler = poll_in_handler, .sa_flags = SA_ONSTACK};
  sigaction(SIGUSR1, &action, NULL);
  sallocx();
}

// Not in an allocator, but with what looks like its frame on the stack.
static void leftover(void) {
  void* volatile words[8];
  for (int i = 0; i < 8; ++i) words[i] = (char*)(void*)(uintptr_t)malloc + 8;
  poll_for_ever();
  if (words[0] == NULL) wrong("words");
}
// The same below code that cannot be unwound, so that nothing shows that it is not a frame.
void without_unwind_tables(void (*function)(void));
__asm__(".globl without_unwind_tables\nwithout_unwind_tables:\n push %rbp\n call *%rdi\n pop %rbp\n ret\n");
static void leftover_unclear(void) { without_unwind_tables(leftover); }

static void waits_in_constructor(void) {
  dlopen(reloaded, RTLD_NOW);
  ++rounds;
}

// In a restartable sequence, but for the few instructions that begin it again.
static void restartable(void) {
  static struct __attribute__((aligned(32))) {
    uint32_t version, flags;
    uint64_t start, length, abort;
  } section;
  volatile uint64_t* current = (volatile uint64_t*)((char*)__builtin_thread_pointer() + __rseq_offset + 8);
  while (!over()) {
    unsigned long count = 3000000;
    unsigned long aborted = 0;
    unsigned long lost = 0;
    __asm__ volatile(
        "  lea 1f(%%rip), %%rax\n mov %%rax, 8(%[section])\n"
        "  lea 2f(%%rip), %%rcx\n sub %%rax, %%rcx\n mov %%rcx, 16(%[section])\n"
        "  lea 4f(%%rip), %%rax\n mov %%rax, 24(%[section])\n"
        "  jmp 3f\n"
        "  .long 0x53053053\n"  // what the kernel expects before the place that it goes to
        "4: inc %[aborted]\n"
        "3: mov %[section], (%[current])\n"
        "1: dec %[count]\n js 2f\n jmp 1b\n"
        "2: cmp %[section], (%[current])\n je 5f\n inc %[lost]\n"
        "5: movq $0, (%[current])\n"
        : [count] "+r"(count), [aborted] "+r"(aborted), [lost] "+r"(lost)
        : [section] "r"(&section), [current] "r"(current)
        : "rax", "rcx", "memory", "cc");
    if (lost != 0) wrong("the kernel has forgotten the sequence that was being executed");
    ++rounds;
  }
}

static void end_of_first_thread(void) {
  pthread_t thread;
  static const struct State state = {"poll", poll_for_ever};
  pthread_create(&thread, NULL, run_state, (void*)(uintptr_t)&state);
  pthread_exit(NULL);
}

static void in_vfork(void) {
  if (vfork() == 0) {
    char byte;
    syscall(SYS_read, 0, &byte, 1);
    _exit(0);
  }
  ++rounds;
}

// Another thread becomes another program when it is told to.
static void* execute(void* program) {
  sigset_t set;
  int number;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigwait(&set, &number);
  execl(program, program, "poll", (char*)NULL);
  return NULL;
}
static void other_executes(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, execute, (void*)(uintptr_t)program_name);
  poll_for_ever();
}

static void strict_seccomp(void) {
  prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
  char byte;
  while (syscall(SYS_read, 0, &byte, 1) < 0) continue;
  ++rounds;
}

// Forbids nothing; the tool cannot know that.
static void seccomp_filter(void) {
  struct sock_filter allow = {.code = BPF_RET | BPF_K, .k = SECCOMP_RET_ALLOW};
  struct sock_fprog program = {.len = 1, .filter = &allow};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) wrong("seccomp");
  poll_for_ever();
}

static void not_dumpable(void) {
  prctl(PR_SET_DUMPABLE, 0);
  poll_for_ever();
}

static void children(void) {
  while (!over()) {
    pid_t child = fork();
    if (child == 0) _exit(0);
    check_result(waitpid(child, NULL, 0), "waitpid");
  }
}

static const struct State kStates[] = {{"busy", busy},
                                       {"read", wait_read},
                                       {"futex", wait_futex},
                                       {"futex_timed", wait_futex_timed},
                                       {"join", wait_join},
                                       {"nanosleep", sleep_short},
                                       {"poll", poll_for_ever},
                                       {"poll_timed", poll_timed},
                                       {"epoll", epoll_for_ever},
                                       {"epoll_timed", epoll_timed},
                                       {"sigtimedwait", wait_signal},
                                       {"sigsuspend", suspend},
                                       {"pause", wait_pause},
                                       {"recv_timed", receive_timed},
                                       {"semtimedop", wait_semaphore},
                                       {"malloc", allocate},
                                       {"dlopen", load_and_unload},
                                       {"coroutine", coroutine},
                                       {"registers", registers},
                                       {"errno", keep_errno},
                                       {"handler", in_handler},
                                       {"strict_seccomp", strict_seccomp},
                                       {"seccomp_filter", seccomp_filter},
                                       {"not_dumpable", not_dumpable},
                                       {"in_allocator", mallocx},
                                       {"half_in_allocator", half_in_allocator},
                                       {"in_tail_call", dallocx},
                                       {"in_handler_above_allocator", in_handler_above_allocator},
                                       {"leftover", leftover},
                                       {"leftover_unclear", leftover_unclear},
                                       {"in_constructor", waits_in_constructor},
                                       {"restartable", restartable},
                                       {"first_thread_ended", end_of_first_thread},
                                       {"vfork", in_vfork},
                                       {"other_executes", other_executes},
                                       {"fork", children}};

static void count_alarm(int number) {
  (void)number;
  int saved = errno;
  ++handled;
  errno = saved;
}

int main(int argc, char** argv) {
  const struct State* state = NULL;
  for (size_t i = 0; i < sizeof kStates / sizeof *kStates; ++i)
    if (argc > 1 && strcmp(argv[1], kStates[i].name) == 0) state = &kStates[i];
  if (state == NULL) return 2;
  int threads = 1;
  program_name = argv[0];
  sigset_t later;
  sigemptyset(&later);
  sigaddset(&later, SIGUSR1);
  if (state->run == other_executes) sigprocmask(SIG_BLOCK, &later, NULL);
  for (int i = 2; i < argc; ++i) {
    if (strcmp(argv[i], "alarms") == 0) alarms = true;
    if (strncmp(argv[i], "threads=", 8) == 0) threads = atoi(argv[i] + 8);
    if (strncmp(argv[i], "library=", 8) == 0) reloaded = argv[i] + 8;
  }
  if (alarms) {
    // Not on the stack of a coroutine, which has no room for it.
    static char area[32768];
    stack_t stack = {.ss_sp = area, .ss_size = sizeof area};
    sigaltstack(&stack, NULL);
    struct sigaction action = {.sa_handler = count_alarm, .sa_flags = SA_ONSTACK};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval every = {.it_interval.tv_usec = 1000, .it_value.tv_usec = 1000};
    setitimer(ITIMER_REAL, &every, NULL);
  }
  puts("ready");
  fflush(stdout);
  pthread_t others[64];
  for (int i = 1; i < threads && i < 64; ++i)
    pthread_create(&others[i], NULL, run_state, (void*)(uintptr_t)state);
  run_state((void*)(uintptr_t)state);
  for (int i = 1; i < threads && i < 64; ++i) pthread_join(others[i], NULL);
  if (alarms && handled == 0) wrong("no alarm");
  printf("rounds=%lu eintr=%lu errors=%lu\n", rounds, interrupted, errors);
  return errors != 0 || interrupted != 0;
}
