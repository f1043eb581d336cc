// The library's own memory functions. The compiler calls these names for copies and fills, and libc's
// versions use vector registers, which inside a hooked call belong to the program. Hidden, so that only this
// library gets them.
#include <cstddef>

extern "C" {

__attribute__((visibility("hidden"))) void* memcpy(void* __restrict to, const void* __restrict from,
                                                   std::size_t n) {
  void* result = to;
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
  return result;
}

__attribute__((visibility("hidden"))) void* memset(void* to, int value, std::size_t n) {
  void* result = to;
  __asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(value) : "memory");
  return result;
}

__attribute__((visibility("hidden"))) void* memmove(void* to, const void* from, std::size_t n) {
  auto* out = static_cast<unsigned char*>(to);
  const auto* in = static_cast<const unsigned char*>(from);
  if (out <= in || out >= in + n) return memcpy(to, from, n);
  while (n-- > 0) {
    out[n] = in[n];
    __asm__ volatile("" : : : "memory");  // or the compiler sees a memmove here
  }
  return to;
}

__attribute__((visibility("hidden"))) int memcmp(const void* a, const void* b, std::size_t n) {
  const auto* x = static_cast<const unsigned char*>(a);
  const auto* y = static_cast<const unsigned char*>(b);
  for (std::size_t i = 0; i < n; ++i) {
    if (x[i] != y[i]) return x[i] - y[i];
    __asm__ volatile("" : : : "memory");
  }
  return 0;
}

__attribute__((visibility("hidden"))) std::size_t strlen(const char* text) {
  std::size_t n = 0;
  while (text[n] != '\0') {
    ++n;
    __asm__ volatile("" : : : "memory");
  }
  return n;
}
}
