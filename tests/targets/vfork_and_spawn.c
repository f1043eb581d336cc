// vfork with exec, vfork whose exec fails, posix_spawn and system(): the child borrows the parent's memory
// for a moment.
#define _GNU_SOURCE
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "calls.h"
#include "own_command.h"

enum { kRounds = 8 };

extern char** environ;

HOOKED static unsigned work(unsigned n) {
  CALLED();
  return n + 1;
}

HOOKED static void child_calls(void) {
  CALLED();
  work(1);
}

HOOKED static pid_t start_with_vfork(const char* program, char* const* arguments) {
  CALLED();
  const pid_t child = vfork();
  if (child == 0) {
    // A hooked call in a child that shares the parent's memory and stack.
    child_calls();
    execvp(program, arguments);
    _exit(42);
  }
  return child;
}

HOOKED static pid_t start_with_spawn(const char* program, char* const* arguments) {
  CALLED();
  pid_t child = -1;
  if (posix_spawnp(&child, program, NULL, NULL, arguments, environ) != 0) return -1;
  return child;
}

static int status_of(pid_t child) {
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

HOOKED static int child_main(void) {
  CALLED();
  unsigned n = 0;
  for (int i = 0; i < 100; ++i) n = work(n);
  return (int)n - 93;
}

int main(int argc, char** argv) {
  if (argc > 1 && strcmp(argv[1], "child") == 0) return child_main();
  char word[] = "child";
  struct OwnCommand* command = own_command();
  add_word(command, word);
  char* const* arguments = command->words;
  for (int i = 0; i < kRounds; ++i) {
    const int a = status_of(start_with_vfork(arguments[0], arguments));
    work(1);
    const int b = status_of(start_with_vfork("/nonexistent/program", arguments));
    const int c = status_of(start_with_spawn(arguments[0], arguments));
    printf("%d %d %d\n", a, b, c);
  }
  fflush(stdout);
  printf("shell %d\n", system("exit 3") >> 8);
  return 0;
}
