// Filters, direct calls, redirects, the switch and errors through the C++ interface. Also built without
// exceptions and RTTI.
#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "calltap/calltap.hpp"
#include "check.h"
#include "cpp_two_files.h"
#include "trampolines.h"

using calltap::Callback;
using calltap::Direct;
using calltap::EntryRegs;
using calltap::Expected;
using calltap::Filter;
using calltap::Redirect;

extern "C" {
HOOKED int one_a(int n) { return n + 1; }
HOOKED int one_b(int n) { return n + 2; }
HOOKED int two_a(int n) { return n + 3; }
HOOKED __attribute__((patchable_function_entry(1, 1))) int one_unpatchable() { return 1; }
}

namespace shapes {
HOOKED int area(int w, int h) { return w * h; }
}  // namespace shapes

extern "C" {
DIRECT_TRAMPOLINE(count_direct_code, direct_calls);
DIRECT_TRAMPOLINE(count_other_direct_code, other_direct_calls);
}
void (*const count_direct)() = reinterpret_cast<void (*)()>(const_cast<char*>(count_direct_code));
void (*const count_other_direct)() = reinterpret_cast<void (*)()>(const_cast<char*>(count_other_direct_code));

namespace {

int calls = 0;

Callback counting() {
  calls = 0;
  return *Callback::make([](EntryRegs) { ++calls; }, {.name = "counting"});
}

/// Calls each function once; how many were seen since the last time.
int seen() {
  const int before = calls;
  one_a(1);
  one_b(1);
  two_a(1);
  shapes::area(1, 1);
  return calls - before;
}

int fixed_one_a(int n) { return n < 0 ? 0 : 100 * calltap::original(one_a)(n); }
int other_one_a(int n) { return n; }

/// True if the program of a forked child ends by abort() with that text on standard error.
template <class Run>
bool aborts_with(const char* text, Run run) {
  int ends[2];
  if (pipe(ends) != 0) return false;
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    run();
    _exit(0);
  }
  close(ends[1]);
  std::string output(4096, '\0');
  const ssize_t length = read(ends[0], output.data(), output.size());
  output.resize(length < 0 ? 0 : static_cast<std::size_t>(length));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  CHECK_TEXT(output.c_str(), text);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

}  // namespace

TEST(filters_select_by_glob_symbol_address_and_signature) {
  Callback callback = counting();
  CHECK(callback.set_filter("one_*").has_value());
  CHECK(callback.attach().has_value());
  CHECK_EQUAL(seen(), 2);
  CHECK(callback.set_filter("shapes::*").has_value());
  CHECK_EQUAL(seen(), 3);
  CHECK(callback.set_filter_symbol("two_a", Filter::kReplace).has_value());
  CHECK_EQUAL(seen(), 1);
  CHECK(callback.set_filter_function(one_b).has_value());
  CHECK_EQUAL(seen(), 2);
  CHECK(callback.remove_filter_ip(calltap::to_register(&one_b)).has_value());
  CHECK_EQUAL(seen(), 1);
  CHECK(callback.set_filter_ip(calltap::to_register(&shapes::area), Filter::kReplace).has_value());
  CHECK_EQUAL(seen(), 1);
  CHECK_EQUAL(callback.functions(), 1);
}

TEST(notrace_wins_and_is_replaced) {
  Callback callback = counting();
  CHECK(callback.set_filter("*_a").has_value());
  CHECK(callback.set_notrace("two*").has_value());
  CHECK(callback.attach().has_value());
  CHECK_EQUAL(seen(), 1);
  CHECK(callback.set_notrace("one_b", Filter::kReplace).has_value());
  CHECK_EQUAL(seen(), 2);
}

TEST(a_module_filter_selects_a_module) {
  Callback callback = counting();
  const std::string self = program_invocation_short_name;
  CHECK(callback.set_filter_module(self).has_value());
  CHECK(callback.set_filter("!*seen*").has_value());
  CHECK(callback.attach().has_value());
  CHECK_EQUAL(seen(), 4);
  CHECK_EQUAL(callback.set_filter_module("libsurely_not_there", Filter::kReplace).error().code(), ENOENT);
  CHECK_EQUAL(seen(), 4);
}

TEST(disable_and_enable_keep_the_registration) {
  Callback callback = counting();
  CHECK(callback.set_filter("one_a").has_value());
  CHECK(callback.attach().has_value());
  CHECK(callback.disable().has_value());
  CHECK_EQUAL(seen(), 0);
  CHECK_EQUAL(callback.attach().error().code(), EEXIST);
  CHECK(callback.enable().has_value());
  CHECK_EQUAL(seen(), 1);
  CHECK(callback.detach().has_value());
  CHECK_EQUAL(seen(), 0);
  CHECK(callback.attach().has_value());
  CHECK_EQUAL(seen(), 1);
}

TEST(a_direct_call_is_made_modified_and_removed) {
  Direct direct = *Direct::make(count_direct, {.name = "my_direct"});
  CHECK_EQUAL(direct.attach().error().code(), EINVAL);  // of all functions
  CHECK(direct.set_filter_function(one_a).has_value());
  CHECK(direct.attach().has_value());
  CHECK_EQUAL(one_a(1), 2);
  CHECK_EQUAL(direct_calls, 1);
  CHECK_TEXT(enabled_line("one_a"), "D");
  CHECK_TEXT(enabled_line("one_a"), "my_direct");
  CHECK(direct.modify(count_other_direct).has_value());
  CHECK_EQUAL(one_a(1), 2);
  CHECK_EQUAL(direct_calls, 1);
  CHECK_EQUAL(other_direct_calls, 1);
  Direct second = *Direct::make(count_direct);
  CHECK(second.set_filter("one_*").has_value());
  CHECK_EQUAL(second.attach().error().code(), EBUSY);
  CHECK_EQUAL(one_b(1), 3);
  CHECK_EQUAL(direct_calls, 1);
  CHECK(direct.detach().has_value());
  CHECK_EQUAL(one_a(1), 2);
  CHECK_EQUAL(other_direct_calls, 1);
  // Attached anew, it has the trampoline that it was given last.
  CHECK(direct.attach().has_value());
  one_a(1);
  CHECK_EQUAL(other_direct_calls, 2);
}

TEST(a_redirect_replaces_a_function_and_calls_the_original) {
  CHECK(calltap::original(one_a) == nullptr);
  {
    Redirect redirect = *Redirect::make(one_a, fixed_one_a);
    CHECK_EQUAL(one_a(1), 2);
    CHECK(redirect.attach().has_value());
    CHECK_EQUAL(one_a(1), 200);
    CHECK_EQUAL(one_a(-1), 0);
    CHECK_EQUAL(calltap::original(one_a)(1), 2);
    Redirect second = *Redirect::make(one_a, other_one_a);
    CHECK_EQUAL(second.attach().error().code(), EBUSY);
    CHECK_TEXT(second.attach().error().text(), "one_a");
    CHECK_EQUAL(one_a(1), 200);
  }
  CHECK_EQUAL(one_a(1), 2);
  Redirect with_lambda = *Redirect::make(one_a, [](int n) { return -n; });
  CHECK(with_lambda.attach().has_value());
  CHECK_EQUAL(one_a(9), -9);
  Redirect by_pattern = *Redirect::make_for_filter(other_one_a);
  CHECK(by_pattern.set_filter("one_b").has_value());
  CHECK(by_pattern.attach().has_value());
  CHECK_EQUAL(one_b(9), 9);
}

TEST(the_switch_detaches_all_but_refuses_while_one_is_permanent) {
  Callback callback = counting();
  CHECK(callback.set_filter("one_a").has_value());
  CHECK(callback.attach().has_value());
  CHECK(calltap::enabled());
  CHECK(calltap::set_enabled(false).has_value());
  CHECK(!calltap::enabled());
  CHECK_EQUAL(seen(), 0);
  CHECK(calltap::set_enabled(true).has_value());
  CHECK_EQUAL(seen(), 1);
  Callback permanent = *Callback::make([](EntryRegs) {}, {.permanent = true});
  CHECK(permanent.set_filter("one_b").has_value());
  CHECK(permanent.attach().has_value());
  CHECK_EQUAL(calltap::set_enabled(false).error().code(), EBUSY);
  CHECK_EQUAL(seen(), 1);
}

TEST(enabled_functions_says_who_is_attached_where) {
  CHECK_EQUAL(calltap::enabled_functions()->size(), 0);
  Callback callback = counting();
  CHECK(callback.attach().has_value());  // to all functions
  const Expected<std::string> text = calltap::enabled_functions();
  CHECK(text.has_value());
  std::size_t lines = 0;
  for (const char c : *text) lines += c == '\n' ? 1 : 0;
  CHECK_EQUAL(lines, callback.functions());
  CHECK_TEXT(text->c_str(), "one_a [");
  CHECK_TEXT(text->c_str(), "counting");
  CHECK(text->find('\0') == std::string::npos);
}

TEST(an_owner_assigned_to_itself_stays_as_it_is) {
  Callback callback = counting();
  Direct direct = *Direct::make(count_direct);
  Redirect redirect = *Redirect::make(one_b, other_one_a);
  CHECK(callback.set_filter_function(one_a).has_value());
  CHECK(direct.set_filter_function(two_a).has_value());
  CHECK(callback.attach().has_value() && direct.attach().has_value() && redirect.attach().has_value());
  Callback& same_callback = callback;  // compilers warn of the plain way
  Direct& same_direct = direct;
  Redirect& same_redirect = redirect;
  callback = std::move(same_callback);
  direct = std::move(same_direct);
  redirect = std::move(same_redirect);
  CHECK_EQUAL(seen(), 1);
  CHECK_EQUAL(direct_calls, 1);
  CHECK_EQUAL(one_b(1), 1);
  CHECK_EQUAL(callback.hits(), 1);
  // And they still know what they attach.
  CHECK(direct.detach().has_value() && redirect.detach().has_value());
  CHECK(direct.attach().has_value() && redirect.attach().has_value());
  two_a(1);
  CHECK_EQUAL(direct_calls, 2);
  CHECK_EQUAL(one_b(1), 1);

  Expected<Callback> expected = counting();
  Expected<Callback>& same_expected = expected;
  expected = std::move(same_expected);
  CHECK(expected.has_value() && expected->set_filter("one_*").has_value());
}

TEST(a_later_module_that_cannot_be_attached_to_is_counted_with_its_error) {
  Redirect first = *Redirect::make_for_filter(other_one_a, {.name = "first", .allow_no_match = true});
  Redirect second = *Redirect::make_for_filter(other_one_a, {.name = "second", .allow_no_match = true});
  CHECK(first.set_filter("coming_work").has_value() && first.attach().has_value());
  CHECK(second.set_filter("coming_*").has_value() && second.attach().has_value());
  CHECK_EQUAL(second.failed_modules().count, 0);
  CHECK(second.failed_modules().text.empty());
  CHECK(dlopen("libcoming_a.so", RTLD_NOW) != nullptr);
  CHECK_EQUAL(first.failed_modules().count, 0);
  CHECK_EQUAL(second.failed_modules().count, 1);
  CHECK_TEXT(second.failed_modules().text.c_str(), "libcoming_a.so: 'coming_work': ");
  CHECK_TEXT(second.failed_modules().text.c_str(), "the ops 'first'");
}

TEST(functions_that_cannot_be_patched_are_counted_with_the_first_reason) {
  Callback callback = counting();
  CHECK(callback.set_filter("one_*").has_value() && callback.attach().has_value());
  CHECK_EQUAL(callback.functions(), 2);
  CHECK_EQUAL(callback.refused_functions().count, 1);
  CHECK_TEXT(callback.refused_functions().text.c_str(), "'one_unpatchable': ");
  CHECK_TEXT(callback.refused_functions().text.c_str(), "too few NOPs");
  CHECK(callback.set_filter("one_?", Filter::kReplace).has_value());
  CHECK_EQUAL(callback.refused_functions().count, 0);
  CHECK(callback.refused_functions().text.empty());
}

TEST(errors_have_codes_and_texts) {
  Callback callback = counting();
  const Expected<void> malformed = callback.set_filter("abc[");
  CHECK(!malformed.has_value());
  CHECK_EQUAL(malformed.error().code(), EINVAL);
  CHECK_TEXT(malformed.error().text(), "ct_set_filter");
  CHECK_EQUAL(callback.set_filter_symbol("surely_not_there").error().code(), ENOENT);
  CHECK_EQUAL(callback.set_filter_ip(calltap::to_register(&one_a) + 1).error().code(), ENXIO);
  CHECK_EQUAL(callback.detach().error().code(), ESRCH);
  CHECK(callback.set_filter("surely_not_there").has_value());
  CHECK_EQUAL(callback.attach().error().code(), ENOENT);
  CHECK(callback.set_filter("shape::are", Filter::kReplace).has_value());
  CHECK_TEXT(callback.attach().error().text(), "; did you mean shapes::area");
  CHECK_EQUAL(Redirect::make(sleep_ms, [](unsigned) {}).error().code(), ENXIO);
  CHECK_EQUAL(Callback::make([](EntryRegs) {}, {.allow_no_match = true})->set_filter("none").error().code(),
              0);
  CHECK_EQUAL(Callback::make([](EntryRegs) {}, {.name = "two\nlines"}).error().code(), EINVAL);
}

// Names that fill what an error's text has room for.
#define LONG_NAME "a_function_whose_name_takes_so_much_room_that_a_text_in_which_it_is_named_is_long_"
extern "C" {
HOOKED int first_with_long_name() __asm__(LONG_NAME "first");
HOOKED int other_with_long_name() __asm__(LONG_NAME "other");
int first_with_long_name() { return 1; }
int other_with_long_name() { return 2; }
}

TEST(long_texts_are_whole) {
  Callback callback = counting();
  const Expected<void> failed = callback.set_filter_symbol(LONG_NAME "third");
  const std::string text = ct_error_text();
  CHECK(text.size() > 300);
  CHECK_TEXT(text.c_str(), LONG_NAME "first");
  CHECK_TEXT(text.c_str(), LONG_NAME "other");
  CHECK(text.ends_with("?"));
  CHECK(text == failed.error().text());
  const Expected<Callback> copied = failed.error();
  CHECK(text == copied.error().text());
}

TEST(a_value_that_is_not_there_ends_the_program_with_the_text) {
  Callback callback = counting();
  CHECK(aborts_with("ct_set_filter", [&] { callback.set_filter("abc[").value(); }));
  CHECK(aborts_with("sleep_ms", [&] { static_cast<void>(*Redirect::make(sleep_ms, [](unsigned) {})); }));
}

TEST(two_files_of_a_program_share_what_is_abandoned) {
  CHECK_EQUAL(calls_seen_by_other_file(), 3);
  CHECK(calltap::free_abandoned());
}

/// Its handler destroys the owner in the other file's lambda; see cpp_two_files.cpp.
TEST(an_owner_abandoned_by_one_file_is_freed_by_another) {
  abandon_in_other_file();
  CHECK_TEXT(enabled_line("abandoned_function"), "(1)");
  CHECK(calltap::free_abandoned());
  CHECK_EQUAL(calltap::enabled_functions()->size(), 0);
}
