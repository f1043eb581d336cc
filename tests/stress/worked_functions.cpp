#include "worked_functions.h"

#include <algorithm>

using namespace worked;
using std::uint64_t;

#define HIDDEN_FROM_THE_COMPILER(x) __asm__ volatile("" : "+r"(x) : : "memory")
#define FUNCTION extern "C" __attribute__((noinline))

#define FOR_EACH_NUMBER(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7)

#define INTEGER(n)                                                                                        \
  FUNCTION uint64_t integer_##n(uint64_t x, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e) { \
    HIDDEN_FROM_THE_COMPILER(x);                                                                          \
    return x ^ a ^ b ^ c ^ d ^ e;                                                                         \
  }
#define FLOATING(n)                                                                                    \
  FUNCTION double floating_##n(uint64_t x, double a, double b, double c, double d, double e, double f, \
                               double g, double h) {                                                   \
    HIDDEN_FROM_THE_COMPILER(x);                                                                       \
    return a + b + c + d + e + f + g + h;                                                              \
  }
#define STACK(n)                                                                                      \
  FUNCTION uint64_t stack_##n(uint64_t x, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, \
                              uint64_t f, uint64_t g, uint64_t h) {                                   \
    HIDDEN_FROM_THE_COMPILER(x);                                                                      \
    return x ^ a ^ b ^ c ^ d ^ e ^ f ^ g ^ h;                                                         \
  }
#define SMALL(n)                                  \
  FUNCTION Small small_##n(uint64_t x, Small s) { \
    HIDDEN_FROM_THE_COMPILER(x);                  \
    return {x ^ s.a, s.b * 2};                    \
  }
#define LARGE(n)                                  \
  FUNCTION Large large_##n(uint64_t x, Large l) { \
    HIDDEN_FROM_THE_COMPILER(x);                  \
    for (uint64_t & word : l.words) word ^= x;    \
    return l;                                     \
  }
#define THROWING(n)                            \
  FUNCTION uint64_t throwing_##n(uint64_t x) { \
    HIDDEN_FROM_THE_COMPILER(x);               \
    if (throws(x)) throw x;                    \
    return ~x;                                 \
  }
// x counts down to a multiple of 4.
#define RECURSIVE(n)                            \
  FUNCTION uint64_t recursive_##n(uint64_t x) { \
    HIDDEN_FROM_THE_COMPILER(x);                \
    if (x % 4 == 0) return x;                   \
    uint64_t inner = recursive_##n(x - 1);      \
    HIDDEN_FROM_THE_COMPILER(inner);            \
    return inner + 1;                           \
  }
#define TAIL(n)                                                                                            \
  FUNCTION uint64_t tail_##n(uint64_t x) {                                                                 \
    HIDDEN_FROM_THE_COMPILER(x);                                                                           \
    return integer_##n(x, argument(x, 1), argument(x, 2), argument(x, 3), argument(x, 4), argument(x, 5)); \
  }

#define YIELDING(n)                            \
  FUNCTION uint64_t yielding_##n(uint64_t x) { \
    HIDDEN_FROM_THE_COMPILER(x);               \
    worked::yield();                           \
    return ~x;                                 \
  }

FOR_EACH_NUMBER(INTEGER)
FOR_EACH_NUMBER(FLOATING)
FOR_EACH_NUMBER(STACK)
FOR_EACH_NUMBER(SMALL)
FOR_EACH_NUMBER(LARGE)
FOR_EACH_NUMBER(THROWING)
FOR_EACH_NUMBER(RECURSIVE)
FOR_EACH_NUMBER(TAIL)
FOR_EACH_NUMBER(YIELDING)

namespace {

#define LIST(kind) \
  { kind##_0, kind##_1, kind##_2, kind##_3, kind##_4, kind##_5, kind##_6, kind##_7 }
// Read anew for every call: the compiler must not call past the entry.
decltype(&integer_0) volatile integers[kOfAKind] = LIST(integer);
decltype(&floating_0) volatile floatings[kOfAKind] = LIST(floating);
decltype(&stack_0) volatile stacks[kOfAKind] = LIST(stack);
decltype(&small_0) volatile smalls[kOfAKind] = LIST(small);
decltype(&large_0) volatile larges[kOfAKind] = LIST(large);
decltype(&throwing_0) volatile throwings[kOfAKind] = LIST(throwing);
decltype(&recursive_0) volatile recursives[kOfAKind] = LIST(recursive);
decltype(&tail_0) volatile tails[kOfAKind] = LIST(tail);
decltype(&yielding_0) volatile yieldings[kOfAKind] = LIST(yielding);

bool call_throwing(int n, uint64_t x) {
  try {
    return throwings[n](x) == ~x && !throws(x);
  } catch (uint64_t thrown) {
    return thrown == x && throws(x);
  }
}

}  // namespace

void (*worked::yield)() = [] {};

bool worked::call(int index, uint64_t x) {
  const int n = index % kOfAKind;
  const auto kind = static_cast<Kind>(index / kOfAKind);
  const auto a = [x](int i) { return argument(x, i); };
  const auto f = [x](int i) { return floating(x, i); };
  switch (kind) {
    case kInteger:
      return integers[n](x, a(1), a(2), a(3), a(4), a(5)) == result(kind, x);
    case kFloating:
      return floatings[n](x, f(1), f(2), f(3), f(4), f(5), f(6), f(7), f(8)) == 8 * f(0) + 18;
    case kStack:
      return stacks[n](x, a(1), a(2), a(3), a(4), a(5), a(6), a(7), a(8)) == result(kind, x);
    case kSmall: {
      const Small s = smalls[n](x, {a(1), f(1)});
      return s.a == result(kind, x) && s.b == f(1) * 2;
    }
    case kLarge: {
      Large given;
      for (int i = 0; i < 8; ++i) given.words[i] = a(i);
      const Large got = larges[n](x, given);
      return std::equal(given.words, given.words + 8, got.words,
                        [x](uint64_t u, uint64_t v) { return (u ^ x) == v; });
    }
    case kThrowing:
      return call_throwing(n, x);
    case kRecursive:
      return recursives[n](x) == x;
    case kTail:
      return tails[n](x) == result(kInteger, x);
    case kYielding:
      return yieldings[n](x) == result(kind, x);
  }
  return false;
}

uint64_t worked::address(int index) {
  const int n = index % kOfAKind;
  switch (static_cast<Kind>(index / kOfAKind)) {
    case kInteger:
      return reinterpret_cast<uint64_t>(integers[n]);
    case kFloating:
      return reinterpret_cast<uint64_t>(floatings[n]);
    case kStack:
      return reinterpret_cast<uint64_t>(stacks[n]);
    case kSmall:
      return reinterpret_cast<uint64_t>(smalls[n]);
    case kLarge:
      return reinterpret_cast<uint64_t>(larges[n]);
    case kThrowing:
      return reinterpret_cast<uint64_t>(throwings[n]);
    case kRecursive:
      return reinterpret_cast<uint64_t>(recursives[n]);
    case kTail:
      return reinterpret_cast<uint64_t>(tails[n]);
    case kYielding:
      return reinterpret_cast<uint64_t>(yieldings[n]);
  }
  return 0;
}

int worked::index_of(uint64_t ip) {
  for (int i = 0; i < kFunctions; ++i) {
    if (address(i) == ip) return i;
  }
  return -1;
}

uint64_t worked::replacement(uint64_t x, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e) {
  return x ^ a ^ b ^ c ^ d ^ e;
}
