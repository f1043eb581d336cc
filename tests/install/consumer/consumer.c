#include <stdio.h>

#ifdef WITH_CALLTAP_HEADERS
#include <calltap/version.h>
#if CALLTAP_VERSION_MAJOR + CALLTAP_VERSION_MINOR + CALLTAP_VERSION_PATCH == 0
#error "the version is 0.0.0"
#endif
#endif

const char* greeting(int number);
const char* parting(int number);

__attribute__((noinline)) static int triple(int number) { return 3 * number; }

int main(int argc, char** argv) {
  (void)argv;
  for (int i = argc; i < argc + 5; ++i) printf("%s %d\n", greeting(i), triple(i));
  puts(parting(argc));
  return 0;
}
