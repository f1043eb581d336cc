// What the tools are tested on: a program that does what its standard input says, one line a command, and
// answers each with a line. Started with words, it takes these as its first command.
//
//   calls N        work(N) in the main thread, which calls leaf() N times
//   paced N        calls leaf() N times, and computes for long after each
//   marked N       begin(0), work(N), finish(0)
//   threads N      starts N threads that go on calling spin() and check that nothing of theirs changes
//   shortlived N   N threads, one after the other, that call spin() once
//   load FILE, plugin N, unload      a module, N calls of its function, and away
//   fork N         a child that does work(N) and ends; waits for it
//   child          a child that sleeps until its parent has ended
//   exec N         executes itself, with the command "calls N"
//   setuid         sets its user to the one it has, in all threads (glibc signals them)
//   state          what others could have changed: signal mask, dispositions, pending signals
//   environment NAME
//   leave          the main thread ends; with no others, the process does
//   crash, exit N
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__clang__)
#define HOOKED __attribute__((noinline))
#else
#define HOOKED __attribute__((noinline, noclone))
#endif

static volatile int stopping;
static volatile unsigned long disturbed;
static char* program;

HOOKED unsigned leaf(unsigned n) {
  __asm__ volatile("" ::: "memory");
  return n ^ 0x55;
}

HOOKED unsigned work(unsigned n) {
  unsigned sum = 0;
  for (unsigned i = 0; i < n; ++i) sum += leaf(i);
  __asm__ volatile("" ::: "memory");
  return sum;
}

HOOKED unsigned begin(unsigned n) {
  __asm__ volatile("" ::: "memory");
  return n;
}

HOOKED unsigned finish(unsigned n) {
  __asm__ volatile("" ::: "memory");
  return n + 2;
}

HOOKED unsigned spin(unsigned n) {
  __asm__ volatile("" ::: "memory");
  return n + 1;
}

HOOKED void paced(unsigned n) {
  for (unsigned i = 0; i < n; ++i) {
    leaf(i);
    for (volatile unsigned pause = 0; pause < 100000; ++pause) continue;
  }
}

static void* thread(void* argument) {
  const int number = (int)(intptr_t)argument;
  for (unsigned i = 0; !stopping; ++i) {
    errno = number;
    const unsigned sum = spin(i);
    if (errno != number || sum != i + 1) __atomic_fetch_add(&disturbed, 1, __ATOMIC_RELAXED);
    usleep(100);
  }
  return NULL;
}

static void start_threads(int count) {
  pthread_t started;
  for (int i = 0; i < count; ++i) pthread_create(&started, NULL, thread, (void*)(intptr_t)(1000 + i));
}

static void* short_thread(void* argument) {
  spin(1);
  return argument;
}

static void run_short_threads(int count) {
  pthread_t started;
  for (int i = 0; i < count; ++i) {
    pthread_create(&started, NULL, short_thread, NULL);
    pthread_join(started, NULL);
  }
}

static unsigned do_plugin(void* module, unsigned n) {
  unsigned (*function)(unsigned) = NULL;
  *(void**)&function = dlsym(module, "plugin");
  unsigned sum = 0;
  for (unsigned i = 0; i < n; ++i) sum += function(i);
  return sum;
}

static int do_fork(int count) {
  const pid_t child = fork();
  if (child == 0) {
    work((unsigned)count);
    _exit(0);
  }
  int status = -1;
  waitpid(child, &status, 0);
  return status;
}

/// Its number is the answer.
static int start_child(void) {
  int ends[2];
  if (pipe(ends) != 0) return -1;
  const pid_t child = fork();
  if (child == 0) {
    close(ends[1]);
    work(1);
    char byte;
    while (read(ends[0], &byte, 1) < 0) continue;
    _exit(0);
  }
  close(ends[0]);
  return child;
}

static void print_state(void) {
  sigset_t mask;
  sigset_t pending;
  pthread_sigmask(SIG_BLOCK, NULL, &mask);
  sigpending(&pending);
  printf("mask");
  for (int i = 1; i < NSIG; ++i) {
    if (sigismember(&mask, i) == 1) printf(" %d", i);
    if (sigismember(&pending, i) == 1) printf(" pending-%d", i);
  }
  printf(" handlers");
  for (int i = 1; i < NSIG; ++i) {
    struct sigaction action;
    if (sigaction(i, NULL, &action) == 0 && action.sa_handler != SIG_DFL) {
      printf(" %d:%lx:%x", i, (unsigned long)(uintptr_t)action.sa_handler, (unsigned)action.sa_flags);
    }
  }
  printf(" disturbed %lu\n", disturbed);
}

static void at_end(void) {
  static const char text[] = "exit handlers\n";
  if (write(1, text, sizeof text - 1) < 0) _exit(99);
}

static void on_usr1(int signal) { (void)signal; }

static int obey(char* line) {
  static void* module;
  const char* word = strtok(line, " \n");
  char* rest = strtok(NULL, "\n");
  const int number = rest != NULL ? atoi(rest) : 0;
  int result = 0;
  if (word == NULL) return 0;
  if (strcmp(word, "calls") == 0) {
    work((unsigned)number);
  } else if (strcmp(word, "paced") == 0) {
    paced((unsigned)number);
  } else if (strcmp(word, "marked") == 0) {
    begin(0);
    work((unsigned)number);
    finish(0);
  } else if (strcmp(word, "threads") == 0) {
    start_threads(number);
  } else if (strcmp(word, "shortlived") == 0) {
    run_short_threads(number);
  } else if (strcmp(word, "load") == 0) {
    module = dlopen(rest, RTLD_NOW);
    result = module == NULL;
  } else if (strcmp(word, "plugin") == 0) {
    do_plugin(module, (unsigned)number);
  } else if (strcmp(word, "unload") == 0) {
    result = dlclose(module);
  } else if (strcmp(word, "fork") == 0) {
    result = do_fork(number);
  } else if (strcmp(word, "child") == 0) {
    result = start_child();
  } else if (strcmp(word, "exec") == 0) {
    execl("/proc/self/exe", program, "calls", rest, (char*)NULL);
    result = errno;
  } else if (strcmp(word, "setuid") == 0) {
    result = setresuid(getuid(), geteuid(), geteuid());
  } else if (strcmp(word, "state") == 0) {
    print_state();
    return 0;
  } else if (strcmp(word, "environment") == 0) {
    const char* value = getenv(rest);
    printf("%s\n", value != NULL ? value : "-");
    return 0;
  } else if (strcmp(word, "leave") == 0) {
    stopping = 1;
    pthread_exit(NULL);
  } else if (strcmp(word, "crash") == 0) {
    abort();
  } else if (strcmp(word, "exit") == 0) {
    exit(number);
  }
  printf("%s %d\n", word, result);
  return 0;
}

int main(int argc, char** argv) {
  char line[4096];
  program = argv[0];
  setvbuf(stdout, NULL, _IOLBF, 0);
  atexit(at_end);
  signal(SIGUSR1, on_usr1);
  signal(SIGPIPE, SIG_IGN);
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGUSR2);
  pthread_sigmask(SIG_BLOCK, &mask, NULL);
  printf("ready\n");
  if (argc > 2) {
    snprintf(line, sizeof line, "%s %s", argv[1], argv[2]);
    obey(line);
  }
  while (fgets(line, sizeof line, stdin) != NULL) obey(line);
  stopping = 1;
  return 0;
}
