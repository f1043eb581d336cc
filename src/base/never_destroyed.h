// A static object that outlives exit(): other threads, and modules that are loaded by destructors, still need
// it then.
#pragma once

#include <new>

namespace calltap::base {

/// Zero bytes until create(), which must come before get(). No constructor and no destructor run on their
/// own.
template <class T>
class NeverDestroyed {
 public:
  T& create() {
    created_ = true;
    return *new (bytes_) T;
  }
  T& create_once() {
    if (!created_) create();
    return get();
  }
  T& get() { return *std::launder(reinterpret_cast<T*>(bytes_)); }

 private:
  alignas(T) unsigned char bytes_[sizeof(T)] = {};
  bool created_ = false;
};

}  // namespace calltap::base
