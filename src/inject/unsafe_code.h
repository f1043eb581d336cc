// The code in which a thread must not be borrowed: it may hold a lock that loading a library takes, or have a
// structure half changed that loading a library uses.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "inject/modules.h"

namespace calltap::inject {

struct UnsafeRange {
  Range code;
  std::string what;  // "malloc", "the dynamic loader"
  /// Safe as long as the thread waits in a system call: pthread_join holds its lock only after it has waited.
  bool safe_while_waiting = false;
};

/// Immutable.
class UnsafeCode {
 public:
  UnsafeCode(const std::vector<Module>& modules, const TargetMemory& memory);

  /// What the address is in, or null.
  [[nodiscard]] const UnsafeRange* find(std::uint64_t address) const;

 private:
  void add_functions(const Module& module, const TargetMemory& memory);
  void add_tail_calls(const Module& module, const TargetMemory& memory);
  void add(UnsafeRange range);

  std::vector<UnsafeRange> ranges_;  // sorted
};

}  // namespace calltap::inject
