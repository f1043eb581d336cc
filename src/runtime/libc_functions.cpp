// The library's own versions of the libc functions that it uses while the program is not ready for them.
// Hidden, so that only this library gets them.
//
// Memory functions: the compiler calls these names for copies and fills, and libc's versions use vector
// registers, which inside a hooked call belong to the program. Files and mappings: programs define such
// functions themselves (ThreadSanitizer does), and ours would be the first call of them, before the program
// has initialised anything.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>

#include "isa/system.h"

namespace native = calltap::isa::native;

extern "C" {

__attribute__((visibility("hidden"))) void* memcpy(void* __restrict to, const void* __restrict from,
                                                   std::size_t n) {
  native::copy_bytes(to, from, n);
  return to;
}

__attribute__((visibility("hidden"))) void* memset(void* to, int value, std::size_t n) {
  native::fill_bytes(to, value, n);
  return to;
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

__attribute__((visibility("hidden"))) std::size_t strnlen(const char* text, std::size_t most) noexcept {
  std::size_t n = 0;
  while (n < most && text[n] != '\0') {
    ++n;
    __asm__ volatile("" : : : "memory");
  }
  return n;
}

__attribute__((visibility("hidden"))) void* memchr(const void* memory, int value, std::size_t n) noexcept {
  const auto* bytes = static_cast<const unsigned char*>(memory);
  for (std::size_t i = 0; i < n; ++i) {
    if (bytes[i] == static_cast<unsigned char>(value)) return const_cast<unsigned char*>(bytes + i);
    __asm__ volatile("" : : : "memory");
  }
  return nullptr;
}
}

namespace {

/// As libc has it: -1 and errno.
long checked(long result) {
  if (!calltap::isa::is_error(result)) return result;
  errno = static_cast<int>(-result);
  return -1;
}

}  // namespace

extern "C" {

__attribute__((visibility("hidden"))) int open(const char* path, int flags, ...) {
  return static_cast<int>(
      checked(native::system_call(SYS_openat, AT_FDCWD, reinterpret_cast<long>(path), flags)));
}

__attribute__((visibility("hidden"))) int close(int fd) {
  return static_cast<int>(checked(native::system_call(SYS_close, fd)));
}

__attribute__((visibility("hidden"))) int fstat(int fd, struct stat* status) noexcept {
  return static_cast<int>(checked(native::system_call(SYS_fstat, fd, reinterpret_cast<long>(status))));
}

__attribute__((visibility("hidden"))) void* mmap(void* address, std::size_t size, int protection, int flags,
                                                 int fd, off_t offset) noexcept {
  return reinterpret_cast<void*>(checked(native::system_call(
      SYS_mmap, reinterpret_cast<long>(address), static_cast<long>(size), protection, flags, fd, offset)));
}

__attribute__((visibility("hidden"))) int munmap(void* address, std::size_t size) noexcept {
  return static_cast<int>(
      checked(native::system_call(SYS_munmap, reinterpret_cast<long>(address), static_cast<long>(size))));
}

__attribute__((visibility("hidden"))) void* mremap(void* address, std::size_t old_size, std::size_t size,
                                                   int flags, ...) noexcept {
  return reinterpret_cast<void*>(
      checked(native::system_call(SYS_mremap, reinterpret_cast<long>(address), static_cast<long>(old_size),
                                  static_cast<long>(size), flags)));
}
}
