// A replacement asks for the original at every call: while another thread registers, too.
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

#include "calltap/calltap.hpp"
#include "check.h"

using calltap::Callback;
using calltap::EntryRegs;
using calltap::Redirect;

extern "C" HOOKED int replaced(int n) { return n + 1; }

namespace names_to_demangle {
HOOKED void function() {}
}  // namespace names_to_demangle

namespace {

int replacement(int n) { return 10 * calltap::original(replaced)(n); }

std::atomic<std::thread::id> registering;
std::atomic<bool> holds_lock{false};
std::atomic<bool> go_on{false};

}  // namespace

// The demangler's, which runs under the engine's lock.
extern "C" void* __libc_realloc(void* memory, std::size_t bytes);
extern "C" HOOKED void* realloc(void* memory, std::size_t bytes) noexcept {
  return __libc_realloc(memory, bytes);
}

TEST(original_waits_for_no_registration) {
  Redirect redirect = *Redirect::make(replaced, replacement);
  redirect.attach().value();
  CHECK_EQUAL(replaced(1), 20);
  Callback holding = *Callback::make([](EntryRegs) {
    if (registering.load() != std::this_thread::get_id()) return;
    holds_lock = true;
    while (!go_on) std::this_thread::yield();
  });
  holding.set_filter_function(realloc).value();
  holding.attach().value();
  std::thread thread([] {
    Callback callback = *Callback::make([](EntryRegs) {});
    callback.set_filter("names_to_demangle::*").value();
    registering = std::this_thread::get_id();
    CHECK(callback.attach().has_value());
    registering = std::thread::id();
    CHECK_EQUAL(callback.functions(), 1);
  });
  while (!holds_lock) std::this_thread::yield();
  CHECK_EQUAL(replaced(2), 30);
  go_on = true;
  thread.join();
}

TEST(the_original_of_what_is_not_attached_is_unknown) {
  CHECK(calltap::original(replaced) == nullptr);
  CHECK(calltap::original(names_to_demangle::function) == nullptr);
  Redirect redirect = *Redirect::make(replaced, replacement);
  redirect.attach().value();
  for (int i = 0; i < 3; ++i) CHECK_EQUAL(calltap::original(replaced)(5), 6);
  CHECK(calltap::original(names_to_demangle::function) == nullptr);
  redirect.detach().value();
  CHECK_EQUAL(calltap::original(replaced)(5), 6);
}
