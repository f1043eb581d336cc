// Named checks of the interface. A program is a list of them:
//
//   TEST(counts_are_exact) {
//     ct_ops* ops = ct_new_callback(count, NULL, 0);
//     CHECK_OK(ct_register_ops(ops));
//     CHECK_EQUAL(calls, 1);
//     CHECK_FAILS(ct_register_ops(ops), EEXIST, "registered");
//   }
//
// Each check runs in a process of its own, forked before the library has done anything, so that no check
// depends on another and a crash has a name. A check that checks nothing has failed. `program NAME` runs one,
// in the process itself: for debuggers.
//
// C11 and C++20; check.c is main(). The CHECK macros may be used by any thread; what fails is printed, and
// the check goes on.
#pragma once

#include <errno.h>
#include <stdint.h>

#include "calltap/calltap.h"

#ifdef __cplusplus
extern "C" {
#endif

struct Check {
  const char* name;
  void (*run)(void);
  struct Check* next;
};

void add_check(struct Check* check);
void check_true(int ok, const char* file, int line, const char* what);
void check_equal(uint64_t actual, uint64_t expected, const char* file, int line, const char* what);
void check_text(const char* text, const char* part, const char* file, int line);
/// `result` is what the call returned: 0, or printed with the error text.
void check_ok(int result, const char* file, int line, const char* what);
/// The call returned -error, and the error text has `part` in it.
void check_fails(int result, int error, const char* part, const char* file, int line, const char* what);
/// For what the machine does not have: ends the check, which counts as skipped.
void skip_check(const char* reason) __attribute__((noreturn));

/// ct_enabled_functions() as a string that the caller frees.
char* enabled_functions(void);
/// Its line about the function without the line's end, or "". Valid until the thread's next call.
const char* enabled_line(const char* function);

/// Sleeps that long; for checks that watch something for a while.
void sleep_ms(unsigned milliseconds);

#ifdef __cplusplus
}
#endif

#define TEST(test_name)                                                                                \
  static void test_name(void);                                                                         \
  static struct Check check_of_##test_name = {#test_name, test_name, 0};                               \
  __attribute__((constructor)) static void add_##test_name(void) { add_check(&check_of_##test_name); } \
  static void test_name(void)

#define CHECK(condition) check_true(!!(condition), __FILE__, __LINE__, #condition)
#define CHECK_EQUAL(actual, expected) \
  check_equal((uint64_t)(actual), (uint64_t)(expected), __FILE__, __LINE__, #actual)
#define CHECK_TEXT(text, part) check_text(text, part, __FILE__, __LINE__)
#define CHECK_OK(call) check_ok(call, __FILE__, __LINE__, #call)
#define CHECK_FAILS(call, error, part) check_fails(call, error, part, __FILE__, __LINE__, #call)

// A function that clients attach to: it exists once, is called for each call in the source, and the compiler
// knows nothing about it.
#if defined(__clang__)
#define HOOKED __attribute__((noinline, weak, used))  // of a weak function clang cannot know the body
#else
#define HOOKED __attribute__((noinline, noclone, noipa, used))
#endif
