// C++ names for people.
#pragma once

#include <cstddef>
#include <string_view>

#include "base/array.h"

namespace calltap::site {

/// Demangles with the given function (__cxa_demangle's signature), so that core needs no C++ library. The
/// tool passes its own; the runtime passes what dlsym finds in the program, or null (a C program has none).
/// Not thread-safe, and not signal-safe: the function allocates.
class Demangler {
 public:
  using Function = char* (*)(const char* mangled, char* buffer, std::size_t* length, int* status);
  using Release = void (*)(void* buffer);
  /// `release` frees what `function` allocated: free() of the same program. With null the last buffer is
  /// leaked.
  explicit Demangler(Function function, Release release = nullptr) : function_(function), release_(release) {}
  Demangler(const Demangler&) = delete;
  Demangler& operator=(const Demangler&) = delete;
  ~Demangler();
  /// `mangled` itself if it is not a mangled name. The text lives until the next call, or as long as
  /// `mangled`.
  std::string_view demangle(std::string_view mangled);

 private:
  Function function_;
  Release release_;
  char* buffer_ = nullptr;
  std::size_t length_ = 0;
  base::Array<char> terminated_;
};

}  // namespace calltap::site
