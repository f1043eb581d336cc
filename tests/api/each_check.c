#define _GNU_SOURCE
#include "each_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int run_all_checks(int (*run)(const char* name, unsigned number)) {
  unsigned counts[3] = {0, 0, 0};
  for (unsigned number = 0;; ++number) {
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) exit(run(NULL, number));
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) abort();
    if (WIFEXITED(status) && WEXITSTATUS(status) == kNoSuchCheck) break;
    if (WIFSIGNALED(status))
      printf("  killed by signal %d (%s)\n", WTERMSIG(status), strsignal(WTERMSIG(status)));
    if (WIFEXITED(status) && WEXITSTATUS(status) == kPassed) {
      ++counts[0];
    } else if (WIFEXITED(status) && WEXITSTATUS(status) == kSkipped) {
      ++counts[2];
    } else {
      ++counts[1];
      printf("  FAILED\n");
    }
  }
  printf("%u passed, %u failed, %u skipped\n", counts[0], counts[1], counts[2]);
  return counts[1] != 0 || counts[0] + counts[2] == 0 ? kFailed : kPassed;
}
