// What is known of a function's parameters: from its debug information, kept with the recording.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace calltap::trace {

struct Parameter {
  enum class Kind : std::uint8_t { kUnknown, kSigned, kUnsigned, kPointer, kBool, kChar, kFloat };
  /// The registers of event/arguments.h.
  enum class Place : std::uint8_t { kNone, kInteger, kFloat };

  std::string name;  // "": it has none
  std::string type;
  Kind kind = Kind::kUnknown;
  std::uint8_t bytes = 0;  // 1 ... 8, of the value, which is in the low bytes of its register
  Place place = Place::kNone;
  std::uint8_t index = 0;

  friend bool operator==(const Parameter&, const Parameter&) = default;
};

/// In order. Nothing at all: not known.
using Parameters = std::optional<std::vector<Parameter>>;

/// Kind, bytes and place in one word, such as "d4i0": the signed number in the low four bytes of the first
/// integer register; "?": unknown.
std::string encode_value(const Parameter& parameter);
/// False, and the parameter as it was: the word is none.
bool decode_value(std::string_view word, Parameter& parameter);

}  // namespace calltap::trace
