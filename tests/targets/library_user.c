// A program without sites of its own that is linked with a library that has some.
#include <stdio.h>

int module_work(int n);

int main(void) {
  int sum = 0;
  for (int i = 0; i < 100; ++i) sum += module_work(i);
  printf("%d\n", sum);
  return 0;
}
