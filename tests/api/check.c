#define _GNU_SOURCE
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "each_check.h"

enum { kMostSeconds = 100 };

static struct Check* first;
static struct Check** last = &first;
static unsigned made;
static unsigned failed;

void add_check(struct Check* check) {
  *last = check;
  last = &check->next;
}

static void failure(const char* file, int line) {
  __atomic_fetch_add(&failed, 1, __ATOMIC_RELAXED);
  const char* slash = strrchr(file, '/');
  printf("  %s:%d: ", slash == NULL ? file : slash + 1, line);
}

void check_true(int ok, const char* file, int line, const char* what) {
  __atomic_fetch_add(&made, 1, __ATOMIC_RELAXED);
  if (ok) return;
  failure(file, line);
  printf("%s\n", what);
}

void check_equal(uint64_t actual, uint64_t expected, const char* file, int line, const char* what) {
  __atomic_fetch_add(&made, 1, __ATOMIC_RELAXED);
  if (actual == expected) return;
  failure(file, line);
  printf("%s is %lld (0x%llx), not %lld (0x%llx)\n", what, (long long)actual, (unsigned long long)actual,
         (long long)expected, (unsigned long long)expected);
}

void check_text(const char* text, const char* part, const char* file, int line) {
  __atomic_fetch_add(&made, 1, __ATOMIC_RELAXED);
  if (strstr(text, part) != NULL) return;
  failure(file, line);
  printf("\"%s\" is not in \"%s\"\n", part, text);
}

void check_ok(int result, const char* file, int line, const char* what) {
  __atomic_fetch_add(&made, 1, __ATOMIC_RELAXED);
  if (result == 0) return;
  failure(file, line);
  printf("%s is %d: %s\n", what, result, ct_error_text());
}

void check_fails(int result, int error, const char* part, const char* file, int line, const char* what) {
  __atomic_fetch_add(&made, 1, __ATOMIC_RELAXED);
  if (result == -error && strstr(ct_error_text(), part) != NULL) return;
  failure(file, line);
  printf("%s is %d (%s), not %d with \"%s\"\n", what, result, ct_error_text(), -error, part);
}

void skip_check(const char* reason) {
  printf("  skipped: %s\n", reason);
  fflush(stdout);
  _exit(kSkipped);
}

char* enabled_functions(void) {
  for (size_t size = 4096;; size *= 2) {
    char* text = malloc(size);
    if (text == NULL) abort();
    const long length = ct_enabled_functions(text, size);
    if (length < 0) text[0] = '\0';
    if (length < (long)size) return text;
    free(text);
  }
}

const char* enabled_line(const char* function) {
  static _Thread_local char line[1024];
  const size_t length = strlen(function);
  line[0] = '\0';
  char* text = enabled_functions();
  for (char* at = text; *at != '\0';) {
    const size_t size = strcspn(at, "\n");
    if (strncmp(at, function, length) == 0 && strncmp(at + length, " [", 2) == 0) {
      snprintf(line, sizeof line, "%.*s", (int)size, at);
    }
    at += size + (at[size] == '\n');
  }
  free(text);
  return line;
}

void sleep_ms(unsigned milliseconds) {
  struct timespec left = {milliseconds / 1000, (long)(milliseconds % 1000) * 1000000};
  while (nanosleep(&left, &left) != 0) {
  }
}

int run_check(const char* name, unsigned number) {
  const struct Check* check = first;
  while (check != NULL && (name != NULL ? strcmp(check->name, name) != 0 : number-- != 0))
    check = check->next;
  if (check == NULL) return kNoSuchCheck;
  printf("%s\n", check->name);
  fflush(stdout);
  alarm(kMostSeconds);
  check->run();
  if (made == 0) printf("  checked nothing\n");
  fflush(stdout);
  return failed == 0 && made != 0 ? kPassed : kFailed;
}

int main(int argc, char** argv) {
  const int status = argc > 1 ? run_check(argv[1], 0) : run_all_checks(run_check);
  fflush(stdout);  // after the call: main() is in backtraces
  return status;
}
