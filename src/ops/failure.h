// What a reader of an error needs to know besides its code.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace calltap::ops {

struct Failure {
  char function[128] = {};  // at fault; or the patterns that match none
  char client[64] = {};     // name of the other one, where one is in the way
  bool has_client = false;
  std::string_view reason;  // static
  std::uint8_t code[8] = {};
  std::uint8_t code_bytes = 0;  // that are known of the code at the function's entry
  bool was_published = false;   // then handlers may have been entered: wait for them
};

}  // namespace calltap::ops
