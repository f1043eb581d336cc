// What the functions of a running process are called, while modules come.
#pragma once

#include <cstdint>
#include <string_view>

#include "trace/parameter.h"

namespace calltap::trace {

class LiveFunctions {
 public:
  virtual ~LiveFunctions() = default;
  /// Functions numbered 1 ... count() exist. Never less than before.
  [[nodiscard]] virtual std::uint32_t count() const = 0;
  /// An event has a higher number. The target announces a module's functions before their first event:
  /// whatever it has said by now must have been looked at on return. Does not call the reader.
  virtual void refresh() = 0;
  /// 1 <= id <= count(). Valid until refresh() is called or the tool learns of a module.
  [[nodiscard]] virtual std::string_view name(std::uint32_t id) const = 0;
  /// The same of what is known of the function's parameters.
  [[nodiscard]] virtual const Parameters& parameters(std::uint32_t /*id*/) const {
    static const Parameters unknown;
    return unknown;
  }
};

}  // namespace calltap::trace
