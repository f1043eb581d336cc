// A program that looks at itself: as many open descriptors as without us, its own mappings readable and
// executable as before, no child to wait for, signal handlers untouched.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "calls.h"

HOOKED static int count_descriptors(void) {
  CALLED();
  int count = 0;
  DIR* directory = opendir("/proc/self/fd");
  if (directory == NULL) abort();
  for (struct dirent* entry; (entry = readdir(directory)) != NULL;) count += entry->d_name[0] != '.';
  closedir(directory);
  return count;
}

HOOKED static int lowest_free_descriptor(void) {
  CALLED();
  const int file = dup(0);
  close(file);
  return file;
}

HOOKED static int writable_and_executable(void) {
  CALLED();
  char line[4096];
  int count = 0;
  FILE* maps = fopen("/proc/self/maps", "r");
  if (maps == NULL) abort();
  while (fgets(line, sizeof line, maps) != NULL) count += strstr(line, " rwx") != NULL;
  fclose(maps);
  return count;
}

HOOKED static int handled_signals(void) {
  CALLED();
  int count = 0;
  for (int i = 1; i < NSIG; ++i) {
    struct sigaction action;
    if (sigaction(i, NULL, &action) == 0) count += action.sa_handler != SIG_DFL;
  }
  return count;
}

int main(int argc, char** argv) {
  (void)argc;
  printf("name %s\n", strrchr(argv[0], '/') != NULL ? strrchr(argv[0], '/') + 1 : argv[0]);
  printf("descriptors %d, next %d\n", count_descriptors(), lowest_free_descriptor());
  printf("writable and executable %d\n", writable_and_executable());
  printf("handled signals %d\n", handled_signals());
  printf("children: %d\n", wait(NULL) == -1 && errno == ECHILD ? 0 : 1);
  return 0;
}
