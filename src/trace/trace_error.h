// Why a trace could not be read. The tool's own code: thrown by trace and export, caught by the commands.
#pragma once

#include <stdexcept>
#include <string>

namespace calltap::trace {

/// what() is a sentence for the user that fits behind "calltap: ".
class TraceError : public std::runtime_error {
 public:
  enum class Kind {
    kNotADirectory,
    kUnreadable,
    kForeign,  // a directory, but not one of ours
    kOlderVersion,
    kNewerVersion,
    kCorruptDescription,
    kNoSuchFunction,
    kNoSuchThread,
  };
  TraceError(Kind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  [[nodiscard]] Kind kind() const { return kind_; }

 private:
  Kind kind_;
};

}  // namespace calltap::trace
