#include "cli/option_values.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

namespace calltap::cli {
namespace {

constexpr std::string_view kSizeUnits = "KMGT";
constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();

struct TimeUnit {
  std::string_view name;
  double ns;
};
constexpr std::array<TimeUnit, 5> kTimeUnits = {{{"", 1}, {"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}}};

/// The number that the text begins with, which is taken from it. None where there is none or it is too large.
template <class Number>
std::optional<Number> take_number(std::string_view& text) {
  Number number{};
  // A sign is no part of any of our numbers, nor are "inf" and "nan".
  if (text.empty() || std::isdigit(static_cast<unsigned char>(text[0])) == 0) return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  const auto number = take_number<std::uint64_t>(text);
  if (!number) return std::nullopt;
  unsigned shift = 0;
  if (!text.empty()) {
    const auto unit = kSizeUnits.find(static_cast<char>(std::toupper(static_cast<unsigned char>(text[0]))));
    if (unit == std::string_view::npos) return std::nullopt;
    shift = 10 * (static_cast<unsigned>(unit) + 1);
    text.remove_prefix(1);
    if (text != "" && text != "B" && text != "iB") return std::nullopt;
  }
  return *number > kMost >> shift ? kMost : *number << shift;
}

std::optional<std::uint64_t> parse_time(std::string_view text) {
  const auto number = take_number<double>(text);
  if (!number) return std::nullopt;
  for (const TimeUnit& unit : kTimeUnits) {
    if (text != unit.name) continue;
    const double ns = *number * unit.ns;
    if (ns >= static_cast<double>(kMost)) return std::nullopt;
    return static_cast<std::uint64_t>(std::llround(ns));
  }
  return std::nullopt;
}

[[noreturn]] void refuse(const std::string& option, const std::string& text, const std::string& wanted) {
  throw CLI::ValidationError(fmt::format("{}: \"{}\" is not {}", option, text, wanted));
}

}  // namespace

std::string size_words(std::uint64_t bytes) {
  std::string unit;
  for (const char next : kSizeUnits) {
    if (bytes == 0 || bytes % 1024 != 0) break;
    bytes /= 1024;
    unit = next;
  }
  return std::to_string(bytes) + unit;
}

CLI::Option* add_choice(CLI::App& command, const std::string& option, std::string& value,
                        const std::vector<std::string>& choices, const std::string& description) {
  return command
      .add_option_function<std::string>(
          option,
          [&value, option, choices](const std::string& text) {
            if (std::find(choices.begin(), choices.end(), text) == choices.end()) {
              refuse(option, text, fmt::format("one of {}", fmt::join(choices, ", ")));
            }
            value = text;
          },
          description)
      ->type_name(fmt::format("{}", fmt::join(choices, "|")))
      ->default_str(value);
}

CLI::Option* add_number(CLI::App& command, const std::string& option, std::uint64_t& value, NumberRange range,
                        const std::string& description) {
  return command
      .add_option_function<std::string>(
          option,
          [&value, option, range](const std::string& text) {
            std::string_view rest = text;
            const auto number = take_number<std::uint64_t>(rest);
            if (!number || !rest.empty() || *number < range.least || *number > range.most) {
              refuse(option, text, fmt::format("a whole number from {} to {}", range.least, range.most));
            }
            value = *number;
          },
          description)
      ->type_name("NUMBER");
}

CLI::Option* add_size(CLI::App& command, const std::string& option, std::uint64_t& value, NumberRange range,
                      const std::string& description) {
  return command
      .add_option_function<std::string>(
          option,
          [&value, option, range](const std::string& text) {
            const auto size = parse_size(text);
            if (!size) refuse(option, text, "a size; write for example 512K, 8M or 1G");
            if (*size < range.least || *size > range.most) {
              throw CLI::ValidationError(fmt::format("{}: {} is out of range; it can be {} to {}", option,
                                                     text, size_words(range.least), size_words(range.most)));
            }
            value = *size;
          },
          description)
      ->type_name("SIZE");
}

CLI::Option* add_time(CLI::App& command, const std::string& option, std::uint64_t& value,
                      const std::string& description) {
  return command
      .add_option_function<std::string>(
          option,
          [&value, option](const std::string& text) {
            const auto ns = parse_time(text);
            if (!ns) refuse(option, text, "a time; write for example 500ns, 20us, 1.5ms or 2s");
            value = *ns;
          },
          description)
      ->type_name("TIME");
}

CLI::Option* add_duration(CLI::App& command, const std::string& option, std::uint64_t& value,
                          const std::string& description) {
  return command
      .add_option_function<std::string>(
          option,
          [&value, option](const std::string& text) {
            const bool has_unit = !text.empty() && text.back() == 's';
            const auto ns = parse_time(has_unit ? text : text + "s");
            if (!ns || *ns == 0) refuse(option, text, "a time; write for example 10, 2.5s or 500ms");
            value = *ns;
          },
          description)
      ->type_name("SECONDS");
}

CLI::Option* add_percent(CLI::App& command, const std::string& option, double& value, double most,
                         const std::string& description) {
  return command
      .add_option_function<std::string>(
          option,
          [&value, option, most](const std::string& text) {
            std::string_view rest = text;
            const auto percent = take_number<double>(rest);
            if (!percent || (!rest.empty() && rest != "%") || !std::isfinite(*percent))
              refuse(option, text, "a share in percent; write for example 5%, 5 or 0.5%");
            if (*percent <= 0 || *percent > most) {
              throw CLI::ValidationError(fmt::format(
                  "{}: {} is out of range; it can be more than 0 and at most {:g}%", option, text, most));
            }
            value = *percent / 100;
          },
          description)
      ->type_name("PERCENT");
}

CLI::Option* add_pid(CLI::App& command, const std::string& option, std::uint64_t& value,
                     const std::string& description) {
  constexpr std::uint64_t kMostPid = 1 << 22;
  return add_number(command, option, value, {1, kMostPid}, description)->type_name("PID");
}

CLI::Option* add_patterns(CLI::App& command, const std::string& option, std::vector<std::string>& patterns,
                          const std::string& description) {
  // Without the separation, everything behind -F would be patterns, the program to record among them.
  return command
      .add_option_function<std::vector<std::string>>(
          option,
          [&patterns, option](const std::vector<std::string>& given) {
            for (const std::string& pattern : given) {
              if (pattern.empty() || pattern == "--") refuse(option, pattern, "a pattern");
            }
            patterns = given;
          },
          description)
      ->type_name("GLOB")
      ->allow_extra_args(false);
}

namespace {

constexpr const char* kActions[] = {"traceon", "traceoff", "snapshot", "stacktrace"};

/// "GLOB:ACTION[:COUNT]", where the glob may have colons: read from behind.
std::string read_trigger(const std::string& text) {
  std::string rest = text;
  std::string count;
  const auto take_last = [&rest] {
    const std::size_t colon = rest.rfind(':');
    if (colon == std::string::npos) return std::string();
    std::string last = rest.substr(colon + 1);
    rest.resize(colon);
    return last;
  };
  std::string action = take_last();
  if (!action.empty() && action.find_first_not_of("0123456789") == std::string::npos) {
    count = action;
    action = take_last();
  }
  const bool known = std::find(std::begin(kActions), std::end(kActions), action) != std::end(kActions);
  constexpr std::size_t kMostDigits = 18;
  if (!known || rest.empty() || count.size() > kMostDigits) {
    refuse("--trigger", text,
           fmt::format("GLOB:ACTION[:COUNT] with ACTION one of {}", fmt::join(kActions, ", ")));
  }
  return fmt::format("{}:{}:{}", action, count, rest);
}

}  // namespace

CLI::Option* add_arguments(CLI::App& command, bool& arguments) {
  return command.add_flag(
      "--args", arguments,
      "with the arguments of calls: by name where there is debug information (-g), else what "
      "the registers for arguments hold, of which not all need be arguments");
}

void add_triggers(CLI::App& command, std::vector<std::string>& triggers) {
  command
      .add_option_function<std::vector<std::string>>(
          "--trigger",
          [&triggers](const std::vector<std::string>& given) {
            for (const std::string& text : given) triggers.push_back(read_trigger(text));
          },
          "when a function that matches GLOB is called: traceon, traceoff, snapshot or stacktrace, at most "
          "COUNT times "
          "(may be given often)")
      ->type_name("GLOB:ACTION[:COUNT]")
      ->allow_extra_args(false);
  command
      .add_option_function<std::vector<std::string>>(
          "--while",
          [&triggers](const std::vector<std::string>& given) {
            for (const std::string& glob : given) triggers.push_back("while::" + glob);
          },
          "record only inside functions that match: themselves and what they call (may be given often)")
      ->type_name("GLOB")
      ->allow_extra_args(false);
}

}  // namespace calltap::cli
