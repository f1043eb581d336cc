"""Writes a program of 60,000 functions, which calls each of them once in every pass."""

FUNCTIONS = 60_000
IN_A_FILE = 1_000
CHILDREN = 8  # of each function in the tree of calls

MAIN = """#include <stdio.h>
#include <stdlib.h>
unsigned long f0(unsigned long x);
int main(int argc, char **argv) {
  if (argc != 2) return 2;
  unsigned long x = 1;
  for (long i = atol(argv[1]); i > 0; --i) x = f0(x);
  printf("%lu\\n", x);
  return 0;
}
"""


def function(i):
    """A little work, and calls of the functions below it. Simple: compilers must be done with ten of these programs."""
    below = range(CHILDREN * i + 1, min(CHILDREN * i + CHILDREN + 1, FUNCTIONS))
    calls = "".join(f"  x += f{c}(x);\n" for c in below)
    work = f"  x = x * {2 * (i % 5003) + 3}ul + {i};\n"
    return f"unsigned long f{i}(unsigned long x) {{\n{work}{calls}  return x ^ x >> {i % 13 + 5};\n}}\n"


def declarations(first, last):
    below = range(CHILDREN * first + 1, min(CHILDREN * last + CHILDREN + 1, FUNCTIONS))
    return "".join(f"unsigned long f{i}(unsigned long x);\n" for i in below)


def write(directory):
    """The files' names; files that are there already keep their time."""
    directory.mkdir(parents=True, exist_ok=True)
    texts = {"main.c": MAIN}
    for first in range(0, FUNCTIONS, IN_A_FILE):
        last = min(first + IN_A_FILE, FUNCTIONS) - 1
        functions = "".join(function(i) for i in range(first, last + 1))
        texts[f"part{first // IN_A_FILE}.c"] = declarations(first, last) + functions
    for name, text in texts.items():
        path = directory / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
    return [directory / name for name in texts]
