// Calls with arguments of all kinds, always the same, each time a line comes; then "calls 0" is said.
#include <cstdarg>
#include <cstdio>

#if defined(__clang__)
#define HOOKED __attribute__((noinline))
#else
#define HOOKED __attribute__((noinline, noclone))
#endif
#define BARRIER() __asm__ volatile("" ::: "memory")

extern "C" {
struct Point {
  double x, y;
};
struct Pair {
  long a;
  float b;
};
struct Large {
  long words[5];
};
enum Colour : int { kRed, kBlue = -2 };

HOOKED int numbers(int a, unsigned long b, short c, unsigned char d, long long e, const void* f) {
  BARRIER();
  return a + static_cast<int>(b) + c + d + static_cast<int>(e) + (f != nullptr);
}

HOOKED double floats(float a, int b, double c, char d, bool e, Colour f) {
  BARRIER();
  return a + b + c + d + e + static_cast<int>(f);
}

HOOKED long aggregates(Point p, int a, Pair q, int b, Large r, double c) {
  BARRIER();
  return static_cast<long>(p.x) + a + q.a + b + r.words[0] + static_cast<long>(c);
}

HOOKED Large returned(int a) {
  BARRIER();
  return {{a, a, a, a, a}};
}

HOOKED int variadic(int n, ...) {
  va_list list;
  va_start(list, n);
  const int sum = n + va_arg(list, int);
  va_end(list);
  BARRIER();
  return sum;
}

HOOKED int many(int a, int b, int c, int d, int e, int f, int g, int h) {
  BARRIER();
  return a + b + c + d + e + f + g + h;
}

HOOKED long double wide(long double a, __int128 b, int c) {
  BARRIER();
  return a + static_cast<long double>(b) + c;
}

HOOKED int no_parameters() {
  BARRIER();
  return 0;
}

HOOKED int apply(int (*function)(), char c) {
  BARRIER();
  return function() + c;
}
}

struct Object {
  Object() = default;
  Object(const Object& other) : value(other.value) {}
  ~Object() { BARRIER(); }
  long value = 7;
};

class Shape {
 public:
  HOOKED long scale(unsigned by) const {
    BARRIER();
    return sides_ * by;
  }
  HOOKED static long combine(Object object, int n, const int& reference) {
    BARRIER();
    return object.value + n + reference;
  }

 private:
  long sides_ = 3;
};

// It is known to nobody outside: a compiler may change what it takes.
HOOKED static int hidden(int unused, int used) {
  static_cast<void>(unused);
  BARRIER();
  return used * 2;
}

int main() {
  std::setvbuf(stdout, nullptr, _IONBF, 0);
  std::puts("ready");
  for (char line[64]; std::fgets(line, sizeof line, stdin) != nullptr;) {
    const Shape shape;
    const Object object;
    const int here = 1;
    double result = 0;
    result += numbers(-5, ~0UL, -3, 200, -1, reinterpret_cast<const void*>(0x1234));
    result += floats(1.5F, 7, -2.25, '\x1b', true, kBlue);
    result += static_cast<double>(aggregates({1, 2}, 11, {3, 4}, 12, {}, 0.5));
    result += static_cast<double>(returned(21).words[0]);
    result += variadic(31, 32);
    result += many(1, 2, 3, 4, 5, 6, 7, 8);
    result += static_cast<double>(wide(1, 2, 51));
    result += apply(no_parameters, 'A');
    result += static_cast<double>(shape.scale(41));
    result += static_cast<double>(Shape::combine(object, 61, here));
    result += hidden(71, 72);
    std::puts(result == 0 ? "nothing" : "calls 0");
  }
  return 0;
}
