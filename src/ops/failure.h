// What a reader of an error needs to know besides its code.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/array.h"
#include "base/error.h"

namespace calltap::ops {

struct Failure {
  char module[64] = {};        // of one among several failures
  char function[128] = {};     // at fault; or the patterns that match none
  char near_misses[256] = {};  // "a, b": names like one of these patterns
  char stripped[64] = {};      // a module in which what no function matches may be, but without its name
  char client[64] = {};        // name of the other one, where one is in the way
  bool has_client = false;
  std::string_view reason;  // static
  std::uint8_t code[8] = {};
  std::uint8_t code_bytes = 0;  // that are known of the code at the function's entry
  bool was_published = false;   // then handlers may have been entered: wait for them
};

/// How often something failed, and one of the times.
struct Failures {
  std::uint64_t count = 0;
  base::Error error;
  Failure failure;
};

struct Module;

/// The loaded modules that a client could not be attached to when they came.
class FailedModules {
 public:
  void note(const Module& module, const base::Error& error, const Failure& failure) {
    if (!failed_.push_back({&module, error, failure})) ++without_room_;
  }
  [[nodiscard]] bool contains(const Module& module) const {
    return std::any_of(failed_.begin(), failed_.end(), [&](const Entry& e) { return e.module == &module; });
  }
  /// The module is gone.
  void forget(const Module& module) {
    Entry* end =
        std::remove_if(failed_.begin(), failed_.end(), [&](const Entry& e) { return e.module == &module; });
    while (failed_.end() != end) failed_.pop_back();
    if (failed_.empty()) failed_ = {};
  }
  void clear() {
    failed_ = {};
    without_room_ = 0;
  }
  /// How many there are, and the last of them.
  [[nodiscard]] Failures all() const {
    const std::uint64_t count = failed_.size() + without_room_;
    if (failed_.empty()) return {count, base::Error(base::ErrorCode::kOutOfMemory), {}};
    const Entry& last = failed_.end()[-1];
    return {count, last.error, last.failure};
  }

 private:
  struct Entry {
    const Module* module = nullptr;
    base::Error error;
    Failure failure;
  };
  base::Array<Entry> failed_;       // in the order in which they came
  std::uint64_t without_room_ = 0;  // that there was no memory to note
};

}  // namespace calltap::ops
