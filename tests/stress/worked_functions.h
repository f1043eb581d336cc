// 72 functions of nine kinds, whose arguments and results all follow from their first argument: a handler
// that sees one of these calls can tell whether it sees the right thing.
#pragma once

#include <cstdint>

namespace worked {

inline constexpr int kKinds = 9;
inline constexpr int kOfAKind = 8;
inline constexpr int kFunctions = kKinds * kOfAKind;
enum Kind { kInteger, kFloating, kStack, kSmall, kLarge, kThrowing, kRecursive, kTail, kYielding };

/// The n-th argument after the first.
inline std::uint64_t argument(std::uint64_t x, int n) { return x * 0x9e3779b97f4a7c15 + n * 0x1234567; }
#ifndef GENERAL_REGISTERS_ONLY
inline double floating(std::uint64_t x, int n) { return static_cast<double>(x & 0xffff) + n * 0.5; }
#endif
inline bool throws(std::uint64_t x) { return x % 4 == 3; }

struct Small {  // returned in registers
  std::uint64_t a;
  double b;
};
struct Large {  // passed and returned in memory
  std::uint64_t words[8];
};

/// Calls function `index` with arguments made from x, and checks its result.
[[nodiscard]] bool call(int index, std::uint64_t x);
/// The function of the index, and back; -1 if there is none.
std::uint64_t address(int index);
int index_of(std::uint64_t ip);
/// What a call returns in rax (not for kFloating and kLarge).
inline std::uint64_t result(Kind kind, std::uint64_t x) {
  if (kind == kThrowing || kind == kYielding) return ~x;
  if (kind == kRecursive) return x;
  if (kind == kSmall) return x ^ argument(x, 1);
  std::uint64_t all = x;
  for (int i = 1; i <= (kind == kStack ? 8 : 5); ++i) all ^= argument(x, i);
  return all;
}
/// Called by functions of kind kYielding in their middle.
extern void (*yield)();
/// With the signature and the results of kind kInteger.
std::uint64_t replacement(std::uint64_t x, std::uint64_t a, std::uint64_t b, std::uint64_t c, std::uint64_t d,
                          std::uint64_t e);

}  // namespace worked
