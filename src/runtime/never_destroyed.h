// A static object that outlives exit(): other threads, and modules that are loaded by destructors, still need
// it then.
#pragma once

#include <new>

namespace calltap::runtime {

/// Zero bytes until create(), which must come before get(). No constructor and no destructor run on their
/// own.
template <class T>
class NeverDestroyed {
 public:
  T& create() { return *new (bytes_) T; }
  T& get() { return *std::launder(reinterpret_cast<T*>(bytes_)); }

 private:
  alignas(T) unsigned char bytes_[sizeof(T)] = {};
};

}  // namespace calltap::runtime
