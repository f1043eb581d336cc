#include "export/arguments_text.h"

#include <fmt/format.h>
#include <sys/utsname.h>

#include <bit>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>

namespace calltap::export_ {
namespace {

using Json = nlohmann::ordered_json;
using Kind = trace::Parameter::Kind;
using trace::CallArguments;
using trace::Parameter;

std::string register_name(std::string_view machine, std::uint32_t index) {
  constexpr std::string_view kX86[] = {"rdi", "rsi", "rdx", "rcx", "r8", "r9"};
  if (machine == "x86_64" && index < std::size(kX86)) return std::string(kX86[index]);
  if (machine == "aarch64") return fmt::format("x{}", index);
  if (machine == "riscv64") return fmt::format("a{}", index);
  return fmt::format("#{}", index);
}

std::optional<std::uint64_t> raw_value(const CallArguments& arguments, const Parameter& p) {
  if (p.kind == Kind::kUnknown) return std::nullopt;
  auto value = p.place == Parameter::Place::kInteger ? arguments.integer(p.index)
               : p.place == Parameter::Place::kFloat ? arguments.floating(p.index)
                                                     : std::nullopt;
  if (value && p.bytes < 8) *value &= (std::uint64_t{1} << p.bytes * 8) - 1;
  return value;
}

std::int64_t as_signed(std::uint64_t value, unsigned bytes) {
  const unsigned unused = 64 - bytes * 8;
  return static_cast<std::int64_t>(value << unused) >> unused;
}

double as_float(std::uint64_t value, unsigned bytes) {
  return bytes == 4 ? std::bit_cast<float>(static_cast<std::uint32_t>(value)) : std::bit_cast<double>(value);
}

/// As in C, with nothing in it that a terminal obeys.
std::string character(std::uint64_t value) {
  const auto c = static_cast<char>(value);
  if (c == '\'' || c == '\\') return fmt::format("'\\{}'", c);
  if (value >= 0x20 && value < 0x7f) return fmt::format("'{}'", c);
  constexpr std::string_view kEscaped = "\a\b\t\n\v\f\r";
  const std::size_t at = kEscaped.find(c);
  if (value != 0 && at != std::string_view::npos) return fmt::format("'\\{}'", "abtnvfr"[at]);
  return value == 0 ? "'\\0'" : fmt::format("'\\x{:02x}'", value & 0xff);
}

std::string value_text(const CallArguments& arguments, const Parameter& p) {
  const auto value = raw_value(arguments, p);
  if (!value) return "...";
  switch (p.kind) {
    case Kind::kSigned:
      return fmt::format("{}", as_signed(*value, p.bytes));
    case Kind::kUnsigned:
      return fmt::format("{}", *value);
    case Kind::kPointer:
      return fmt::format("{:#x}", *value);
    case Kind::kBool:
      return *value == 0 ? "false" : *value == 1 ? "true" : fmt::format("{}", *value);
    case Kind::kChar:
      return character(*value);
    case Kind::kFloat:
      return p.bytes == 4 ? fmt::format("{}", static_cast<float>(as_float(*value, 4)))
                          : fmt::format("{}", as_float(*value, 8));
    case Kind::kUnknown:
      break;
  }
  return "...";
}

Json value_json(const CallArguments& arguments, const Parameter& p) {
  const auto value = raw_value(arguments, p);
  if (!value) return nullptr;
  switch (p.kind) {
    case Kind::kSigned:
      return as_signed(*value, p.bytes);
    case Kind::kUnsigned:
      return *value;
    case Kind::kBool:
      if (*value > 1) return *value;
      return *value == 1;
    case Kind::kFloat:
      // JSON has no infinities.
      if (!std::isfinite(as_float(*value, p.bytes))) return value_text(arguments, p);
      return as_float(*value, p.bytes);
    case Kind::kPointer:
    case Kind::kChar:
    case Kind::kUnknown:
      break;
  }
  return value_text(arguments, p);
}

/// Where the parameter list of a demangled name begins and ends; npos: it has none. The last pair of
/// parentheses on the outer level: what follows it is "const" and the like.
std::pair<std::size_t, std::size_t> signature(std::string_view name) {
  constexpr auto kNone = std::string_view::npos;
  const std::size_t end = name.rfind(')');
  if (end == kNone) return {kNone, kNone};
  int depth = 0;
  for (std::size_t at = end + 1; at-- > 0;) {
    if (name[at] == ')') ++depth;
    if (name[at] == '(' && --depth == 0) return {at, end + 1};
  }
  return {kNone, kNone};
}

}  // namespace

std::string call_with_arguments(std::string_view name, const CallArguments& arguments,
                                const trace::Parameters& parameters, std::string_view machine) {
  std::string text;
  if (!parameters) {
    text = name;
    if (name.find('(') == std::string_view::npos) text += "()";
    text += " [";
    for (std::uint32_t i = 0; const auto value = arguments.integer(i); ++i) {
      text += fmt::format("{}{}={:#x}", i == 0 ? "" : " ", register_name(machine, i), *value);
    }
    return text + "]";
  }
  const auto [begin, end] = signature(name);
  text = name.substr(0, begin);
  text += '(';
  bool first = true;
  for (const Parameter& p : *parameters) {
    if (!first) text += ", ";
    first = false;
    if (!p.name.empty()) text += p.name + "=";
    text += value_text(arguments, p);
  }
  text += ')';
  if (end != std::string_view::npos) text += name.substr(end);
  return text;
}

std::string json_with_arguments(const CallArguments& arguments, const trace::Parameters& parameters,
                                std::string_view machine) {
  Json json;
  if (!parameters) {
    json = Json::object();
    for (std::uint32_t i = 0; const auto value = arguments.integer(i); ++i)
      json[register_name(machine, i)] = fmt::format("{:#x}", *value);
  } else {
    json = Json::array();
    for (const Parameter& p : *parameters)
      json.push_back({{"name", p.name}, {"type", p.type}, {"value", value_json(arguments, p)}});
  }
  return fmt::format(",\"{}\":{}", parameters ? "arguments" : "registers",
                     json.dump(-1, ' ', false, Json::error_handler_t::replace));
}

const std::string& this_machine() {
  static const std::string machine = [] {
    utsname system = {};
    return std::string(::uname(&system) == 0 ? system.machine : "");
  }();
  return machine;
}

}  // namespace calltap::export_
