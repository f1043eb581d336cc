#include "cpp_two_files.h"

#include <optional>

#include "calltap/calltap.hpp"
#include "check.h"

extern "C" HOOKED int other_function(int n) { return n + 4; }
extern "C" HOOKED int abandoned_function(int n) { return n + 5; }

int calls_seen_by_other_file() {
  int calls = 0;
  auto callback = calltap::Callback::make([&](calltap::EntryRegs) { ++calls; });
  callback->set_filter_function(other_function).value();
  callback->attach().value();
  for (int i = 0; i < 3; ++i) other_function(i);
  return calls;
}

void abandon_in_other_file() {
  static std::optional<calltap::Callback> owner;
  owner = calltap::Callback::make([](calltap::EntryRegs) { owner.reset(); }).value();
  owner->set_filter_function(abandoned_function).value();
  owner->attach().value();
  abandoned_function(1);
}
