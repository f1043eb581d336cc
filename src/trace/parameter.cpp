#include "trace/parameter.h"

namespace calltap::trace {
namespace {

constexpr std::string_view kKinds = "?dupbcf";
constexpr std::string_view kPlaces = "-if";

}  // namespace

std::string encode_value(const Parameter& p) {
  if (p.kind == Parameter::Kind::kUnknown || p.place == Parameter::Place::kNone) return "?";
  std::string word;
  word += kKinds[static_cast<std::size_t>(p.kind)];
  word += static_cast<char>('0' + p.bytes);
  word += kPlaces[static_cast<std::size_t>(p.place)];
  word += static_cast<char>('0' + p.index);
  return word;
}

bool decode_value(std::string_view word, Parameter& p) {
  if (word == "?") {
    p.kind = Parameter::Kind::kUnknown;
    p.place = Parameter::Place::kNone;
    return true;
  }
  if (word.size() != 4) return false;
  const std::size_t kind = kKinds.find(word[0]);
  const std::size_t place = kPlaces.find(word[2]);
  if (kind == std::string_view::npos || kind == 0 || place == std::string_view::npos || place == 0)
    return false;
  if (word[1] < '1' || word[1] > '8' || word[3] < '0' || word[3] > '7') return false;
  p.kind = static_cast<Parameter::Kind>(kind);
  p.bytes = static_cast<std::uint8_t>(word[1] - '0');
  p.place = static_cast<Parameter::Place>(place);
  p.index = static_cast<std::uint8_t>(word[3] - '0');
  return true;
}

}  // namespace calltap::trace
