// What the C++ interface returns: a value, or the error that kept it from being there.
//
// Neither throws nor needs exceptions or RTTI. Any thread; signal-safe if the value is.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>

#include "calltap/calltap.h"

namespace calltap {

/// What went wrong: an errno value, and a text with names, addresses and bytes.
class Error {
 public:
  /// The error that the calling thread's last call of the C interface has returned.
  static Error last(int result) { return Error(-result, ct_error_text()); }
  Error(int code, const char* text) : code_(code) { std::strncpy(text_, text, sizeof text_ - 1); }

  /// A positive errno value: EBUSY, ENOENT, ... docs/api.md says what each means.
  [[nodiscard]] int code() const { return code_; }
  [[nodiscard]] const char* text() const { return text_; }

 private:
  int code_;
  char text_[512] = {};
};

/// Ends the program with the text on standard error: for values that were asked for and are not there.
[[noreturn]] inline void abort_for(const Error& error) {
  std::fprintf(stderr, "%s\n", error.text());
  std::abort();
}

template <class Value>
class [[nodiscard]] Expected {
 public:
  Expected(Value value) : value_(std::move(value)) {}
  Expected(const Error& error) : error_(error) {}

  [[nodiscard]] bool has_value() const { return value_.has_value(); }
  explicit operator bool() const { return has_value(); }

  /// The value. If there is none, the program ends with the error's text on standard error.
  Value& value() & {
    require();
    return *value_;
  }
  const Value& value() const& {
    require();
    return *value_;
  }
  Value&& value() && {
    require();
    return *std::move(value_);
  }
  Value& operator*() & { return value(); }
  const Value& operator*() const& { return value(); }
  Value&& operator*() && { return std::move(*this).value(); }
  Value* operator->() { return &value(); }
  const Value* operator->() const { return &value(); }

  /// The error. Code 0 and no text if there is a value.
  [[nodiscard]] const Error& error() const { return error_; }

 private:
  void require() const {
    if (!value_) abort_for(error_);
  }

  std::optional<Value> value_;
  Error error_{0, ""};
};

template <>
class [[nodiscard]] Expected<void> {
 public:
  Expected() = default;
  Expected(const Error& error) : error_(error), failed_(true) {}

  [[nodiscard]] bool has_value() const { return !failed_; }
  explicit operator bool() const { return has_value(); }
  /// Ends the program with the error's text on standard error if there is an error.
  void value() const {
    if (failed_) abort_for(error_);
  }
  [[nodiscard]] const Error& error() const { return error_; }

 private:
  Error error_{0, ""};
  bool failed_ = false;
};

}  // namespace calltap
