// exec: a program that replaces itself several times, fails to in between, and at last does so from a second
// thread.
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "calls.h"
#include "own_command.h"

enum { kRounds = 6 };

HOOKED static unsigned work(unsigned n) {
  CALLED();
  return n + 1;
}

HOOKED static void replace(const char* program, unsigned round) {
  CALLED();
  char number[16];
  snprintf(number, sizeof number, "%u", round);
  fflush(stdout);
  struct OwnCommand* command = own_command();
  add_word(command, number);
  execvp(program != NULL ? program : command->words[0], command->words);
}

HOOKED static void* replace_from_thread(void* argument) {
  CALLED();
  replace(NULL, *(unsigned*)argument);
  return NULL;
}

int main(int argc, char** argv) {
  unsigned round = argc > 1 ? (unsigned)atoi(argv[1]) : 0;
  unsigned n = 0;
  for (unsigned i = 0; i < 1000 + round; ++i) n = work(n);
  printf("round %u: %u\n", round, n);
  ++round;
  if (round > kRounds) return 5;
  replace("/nonexistent/program", round);
  printf("errno is ENOENT: %d\n", errno == ENOENT);
  work(n);
  if (round == kRounds) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, replace_from_thread, &round) != 0) abort();
    pthread_join(thread, NULL);
  }
  replace(NULL, round);
  return 1;
}
