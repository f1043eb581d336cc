// Options whose values have a range, a unit or a fixed choice, with messages that say what would be right. A
// value that cannot be used throws CLI::ValidationError while the command line is parsed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace calltap::cli {

/// A whole number from `least` to `most`.
struct NumberRange {
  std::uint64_t least = 0;
  std::uint64_t most = 0;
};

/// All keep a reference to `value`, which must live as long as `command` and has the default.
CLI::Option* add_choice(CLI::App& command, const std::string& option, std::string& value,
                        const std::vector<std::string>& choices, const std::string& description);
CLI::Option* add_number(CLI::App& command, const std::string& option, std::uint64_t& value, NumberRange range,
                        const std::string& description);
/// Bytes: a number, perhaps with K, M, G or T (powers of 1024) behind it.
CLI::Option* add_size(CLI::App& command, const std::string& option, std::uint64_t& value, NumberRange range,
                      const std::string& description);
/// Nanoseconds: a number, perhaps with ns, us, ms or s behind it, perhaps with a fraction.
CLI::Option* add_time(CLI::App& command, const std::string& option, std::uint64_t& value,
                      const std::string& description);
/// Nanoseconds: the same, but a number alone is of seconds.
CLI::Option* add_duration(CLI::App& command, const std::string& option, std::uint64_t& value,
                          const std::string& description);
/// A share: percent, perhaps with a fraction, perhaps with % behind it; more than 0 and at most `most`
/// percent.
CLI::Option* add_percent(CLI::App& command, const std::string& option, double& value, double most,
                         const std::string& description);
/// The id of a process.
CLI::Option* add_pid(CLI::App& command, const std::string& option, std::uint64_t& value,
                     const std::string& description);
/// -F or -N: a pattern at a time.
CLI::Option* add_patterns(CLI::App& command, const std::string& option, std::vector<std::string>& patterns,
                          const std::string& description);

/// --args
CLI::Option* add_arguments(CLI::App& command, bool& arguments);

/// --trigger GLOB:ACTION[:COUNT] and --while GLOB, as buffer::Welcome has triggers.
void add_triggers(CLI::App& command, std::vector<std::string>& triggers);

/// "128K", "8M", "1000000": a size as add_size() reads it.
std::string size_words(std::uint64_t bytes);

}  // namespace calltap::cli
