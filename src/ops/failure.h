// What a reader of an error needs to know besides its code.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

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

}  // namespace calltap::ops
