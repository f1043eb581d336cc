// What handlers see of a call and may change through ct_regs: arguments in registers and on the stack,
// results of every class, the function's and the caller's address.
#include <complex.h>
#include <stdarg.h>
#include <string.h>

#include "check.h"

struct Mixed {
  double real;
  uint64_t integer;
};
struct Large {
  uint64_t words[5];
};
struct Pair {
  uint64_t first;
  uint64_t second;
};
struct Point {
  double x;
  double y;
};
struct Floats {
  float x;
  float y;
};

HOOKED uint64_t eight_integers(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f,
                               uint64_t g, uint64_t h) {
  return a + 10 * b + 100 * c + 1000 * d + 10000 * e + 100000 * f + 1000000 * g + 10000000 * h;
}
HOOKED double ten_doubles(double a, float b, double c, double d, double e, double f, double g, double h,
                          double i, double j) {
  return a + 2 * (double)b + 4 * c + 8 * d + 16 * e + 32 * f + 64 * g + 128 * h + 256 * i + 512 * j;
}
HOOKED __int128 wide_integer(uint64_t low, uint64_t high) { return (__int128)high << 64 | low; }
HOOKED __float128 quad(__float128 value) { return value; }
HOOKED long double extended(long double value) { return value + 1; }
HOOKED long double _Complex complex_extended(long double real, long double imaginary) {
  return real + imaginary * (long double _Complex)I;
}
HOOKED struct Mixed mixed(double real, uint64_t integer) {
  const struct Mixed value = {real, integer};
  return value;
}
HOOKED struct Large large(uint64_t first) {
  const struct Large value = {{first, first + 1, first + 2, first + 3, first + 4}};
  return value;
}
HOOKED struct Pair pair(uint64_t first, uint64_t second, uint64_t third) {
  const struct Pair value = {first + third, second + third};
  return value;
}
HOOKED struct Point point(double x, double y) {
  const struct Point value = {x, y};
  return value;
}
HOOKED struct Floats floats(float x, float y) {
  const struct Floats value = {x, y};
  return value;
}
HOOKED float single(float value) { return value / 2; }
HOOKED double variadic(int count, ...) {
  double sum = 0;
  va_list list;
  va_start(list, count);
  for (int i = 0; i < count; ++i) sum += va_arg(list, double);
  va_end(list);
  return sum;
}

typedef void Handler(ct_regs* regs);

// What the handlers of a check do; NULL: nothing.
struct Handlers {
  Handler* entry;
  Handler* exit;
};
static unsigned seen;

static int on_entry(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data) {
  (void)data;
  const struct Handlers* handlers = ct_ops_user(ops);
  CHECK_EQUAL(ct_regs_ip(regs), ip);
  CHECK_EQUAL(ct_regs_parent_ip(regs), parent_ip);
  CHECK_EQUAL(ct_regs_return_value(regs), 0);  // there is none yet
  if (handlers->entry != NULL) handlers->entry(regs);
  ++seen;
  return 0;
}

static void on_exit_of(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data) {
  (void)data;
  const struct Handlers* handlers = ct_ops_user(ops);
  CHECK_EQUAL(ct_regs_ip(regs), ip);
  CHECK_EQUAL(ct_regs_parent_ip(regs), parent_ip);
  CHECK_EQUAL(ct_regs_argument(regs, 0), 0);  // they are gone
  CHECK(!ct_regs_unwound(regs));
  if (handlers->exit != NULL) handlers->exit(regs);
  ++seen;
}

static ct_ops* attach(const void* function, const struct Handlers* handlers) {
  ct_ops* ops = ct_new_probe(on_entry, on_exit_of, 0, (void*)handlers, 0);
  CHECK_OK(ct_set_filter_ip(ops, (uint64_t)function, 0, 1));
  CHECK_OK(ct_register_ops(ops));
  seen = 0;
  return ops;
}

static void detach(ct_ops* ops, unsigned calls) {
  CHECK_EQUAL(seen, 2 * calls);
  CHECK_OK(ct_free_ops(ops));
}

static void see_integers(ct_regs* regs) {
  for (unsigned i = 0; i < 8; ++i) CHECK_EQUAL(ct_regs_argument(regs, i), i + 1);
  CHECK_EQUAL(ct_regs_stack_argument(regs, 0), 7);
  CHECK_EQUAL(ct_regs_stack_argument(regs, 1), 8);
  CHECK_EQUAL(((const uint64_t*)ct_regs_sp(regs))[1], 7);
}

static void see_sum(ct_regs* regs) { CHECK_EQUAL(ct_regs_return_value(regs), 87654321); }

TEST(integer_arguments_are_seen_in_registers_and_on_the_stack) {
  const struct Handlers handlers = {see_integers, see_sum};
  ct_ops* ops = attach((const void*)eight_integers, &handlers);
  CHECK_EQUAL(eight_integers(1, 2, 3, 4, 5, 6, 7, 8), 87654321);
  detach(ops, 1);
}

static void change_integers(ct_regs* regs) {
  for (unsigned i = 0; i < 8; ++i) ct_regs_set_argument(regs, i, 8 - i);
}
static void change_result(ct_regs* regs) {
  CHECK_EQUAL(ct_regs_return_value(regs), 12345678);
  ct_regs_set_return_value(regs, 42);
}

TEST(integer_arguments_and_results_can_be_changed) {
  const struct Handlers handlers = {change_integers, change_result};
  ct_ops* ops = attach((const void*)eight_integers, &handlers);
  CHECK_EQUAL(eight_integers(1, 2, 3, 4, 5, 6, 7, 8), 42);
  detach(ops, 1);
}

static void change_doubles(ct_regs* regs) {
  CHECK(ct_regs_double_argument(regs, 0) == 1);
  CHECK(ct_regs_float_argument(regs, 1) == 1);
  for (unsigned i = 2; i < 8; ++i) CHECK(ct_regs_double_argument(regs, i) == 1);
  CHECK(ct_regs_double_argument(regs, 8) == 0);
  size_t bytes = 0;
  const double zero = 0;
  memcpy(ct_regs_vector(regs, 7, &bytes), &zero, sizeof zero);
  CHECK(bytes >= 16);
  CHECK(ct_regs_vector(regs, 8, &bytes) == NULL);
  double on_stack;
  const uint64_t slot = ct_regs_stack_argument(regs, 1);
  memcpy(&on_stack, &slot, sizeof on_stack);
  CHECK(on_stack == 1);
}
static void change_double_result(ct_regs* regs) {
  CHECK(ct_regs_double_return_value(regs) == 1023 - 128);
  ct_regs_set_double_return_value(regs, 0.5);
}

TEST(floating_arguments_and_results_are_seen_and_changed) {
  const struct Handlers handlers = {change_doubles, change_double_result};
  ct_ops* ops = attach((const void*)ten_doubles, &handlers);
  CHECK(ten_doubles(1, 1, 1, 1, 1, 1, 1, 1, 1, 1) == 0.5);
  detach(ops, 1);
}

static void see_wide(ct_regs* regs) {
  CHECK_EQUAL(ct_regs_return_word(regs, 0), 0x1111);
  CHECK_EQUAL(ct_regs_return_word(regs, 1), 0x2222);
  CHECK_EQUAL(ct_regs_return_word(regs, 2), 0);
}
static void see_mixed(ct_regs* regs) {
  CHECK(ct_regs_double_return_value(regs) == 1.5);
  CHECK_EQUAL(ct_regs_return_value(regs), 9);
}
static void see_large(ct_regs* regs) {
  CHECK_EQUAL(((const struct Large*)ct_regs_return_value(regs))->words[4], 104);
}

TEST(results_of_every_class_pass_the_exit_handler) {
  const struct Handlers nothing = {NULL, NULL};
  const struct Handlers wide = {NULL, see_wide};
  const struct Handlers two_classes = {NULL, see_mixed};
  const struct Handlers in_memory = {NULL, see_large};
  ct_ops* ops = attach((const void*)wide_integer, &wide);
  const __int128 value = wide_integer(0x1111, 0x2222);
  CHECK(value == ((__int128)0x2222 << 64 | 0x1111));
  detach(ops, 1);

  ops = attach((const void*)quad, &nothing);
  const __float128 third = (__float128)1 / 3;
  CHECK(quad(third) == third);
  detach(ops, 1);

  ops = attach((const void*)extended, &nothing);
  for (int i = 0; i < 20; ++i) CHECK(extended(0.25L + i) == 1.25L + i);  // more than the x87 stack holds
  detach(ops, 20);

  ops = attach((const void*)complex_extended, &nothing);
  for (int i = 0; i < 20; ++i) {
    const long double _Complex both = complex_extended(i, 0.5L);
    CHECK(creall(both) == i && cimagl(both) == 0.5L);
  }
  detach(ops, 20);

  ops = attach((const void*)mixed, &two_classes);
  const struct Mixed pair = mixed(1.5, 9);
  CHECK(pair.real == 1.5 && pair.integer == 9);
  detach(ops, 1);

  ops = attach((const void*)large, &in_memory);
  CHECK_EQUAL(large(100).words[3], 103);
  detach(ops, 1);

  ops = attach((const void*)variadic, &nothing);
  CHECK(variadic(3, 1.0, 2.0, 4.0) == 7.0);
  CHECK(variadic(9, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0) == 9.0);
  detach(ops, 2);
}

static void override_integer(ct_regs* regs) {
  ct_regs_override_return(regs, 77);
  CHECK(ct_regs_overridden(regs));
}
static void override_double(ct_regs* regs) { ct_regs_override_double_return(regs, 2.25); }
static void see_override(ct_regs* regs) { CHECK_EQUAL(ct_regs_return_value(regs), 77); }
static void see_double_override(ct_regs* regs) { CHECK(ct_regs_double_return_value(regs) == 2.25); }

TEST(an_override_is_the_result_that_the_exit_handler_sees) {
  const struct Handlers integer = {override_integer, see_override};
  const struct Handlers floating = {override_double, see_double_override};
  ct_ops* ops = attach((const void*)eight_integers, &integer);
  CHECK_EQUAL(eight_integers(1, 2, 3, 4, 5, 6, 7, 8), 77);
  detach(ops, 1);
  ops = attach((const void*)ten_doubles, &floating);
  CHECK(ten_doubles(1, 1, 1, 1, 1, 1, 1, 1, 1, 1) == 2.25);
  detach(ops, 1);
}

static void override_single(ct_regs* regs) {
  ct_regs_override_float_return(regs, ct_regs_float_argument(regs, 0) * 3);
}
static void see_single(ct_regs* regs) { CHECK(ct_regs_float_return_value(regs) == 4.5F); }
static void change_single(ct_regs* regs) {
  CHECK(ct_regs_float_return_value(regs) == 0.75F);
  ct_regs_set_float_return_value(regs, -0.125F);
}

TEST(a_float_is_seen_changed_and_overridden) {
  const struct Handlers change = {NULL, change_single};
  ct_ops* ops = attach((const void*)single, &change);
  CHECK(single(1.5F) == -0.125F);
  detach(ops, 1);
  const struct Handlers override = {override_single, see_single};
  ops = attach((const void*)single, &override);
  CHECK(single(1.5F) == 4.5F);
  detach(ops, 1);
}

// Results in two registers, in a whole vector register, and in memory.
static void override_pair(ct_regs* regs) {
  ct_regs_override_return_word(regs, 0, 111);
  ct_regs_override_return_word(regs, 1, 222);
  ct_regs_override_return_word(regs, 2, 333);  // there is none
}
static void override_mixed(ct_regs* regs) {
  ct_regs_override_double_return(regs, 0.25);
  ct_regs_override_return(regs, 44);
}
static void write_vector(ct_regs* regs, unsigned n, const void* value, size_t size) {
  size_t bytes = 0;
  void* at = ct_regs_vector(regs, n, &bytes);
  CHECK(bytes >= size);
  memcpy(at, value, size);
}
static void override_point(ct_regs* regs) {
  const double y = -8;
  ct_regs_override_double_return(regs, -4);
  write_vector(regs, 1, &y, sizeof y);
}
static void override_floats(ct_regs* regs) {
  const struct Floats value = {0.5F, -0.5F};
  write_vector(regs, 0, &value, sizeof value);
  ct_regs_override_return(regs, 0);
}
static void override_quad(ct_regs* regs) {
  const __float128 value = (__float128)1 / 7;
  write_vector(regs, 0, &value, sizeof value);
  ct_regs_override_return(regs, 0);
}
static void override_large(ct_regs* regs) {
  CHECK_EQUAL(ct_regs_argument(regs, 1), 100);
  const struct Large value = {{5, 4, 3, 2, 1}};
  memcpy((void*)ct_regs_argument(regs, 0), &value, sizeof value);
  ct_regs_override_return(regs, ct_regs_argument(regs, 0));
}

static void on_entry_of_callback(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  on_entry(ip, parent_ip, ops, regs, NULL);
}

static ct_ops* attach_callback(const void* function, const struct Handlers* handlers) {
  ct_ops* ops = ct_new_callback(on_entry_of_callback, (void*)handlers, 0);
  CHECK_OK(ct_set_filter_ip(ops, (uint64_t)function, 0, 1));
  CHECK_OK(ct_register_ops(ops));
  return ops;
}

static void check_overridden_results(ct_ops* (*attach_to)(const void*, const struct Handlers*)) {
  struct Handlers handlers = {override_pair, NULL};
  ct_ops* ops = attach_to((const void*)pair, &handlers);
  const struct Pair two_words = pair(1, 2, 3);
  CHECK_EQUAL(two_words.first, 111);
  CHECK_EQUAL(two_words.second, 222);
  CHECK_OK(ct_free_ops(ops));

  handlers.entry = override_mixed;
  ops = attach_to((const void*)mixed, &handlers);
  const struct Mixed both_classes = mixed(1.5, 9);
  CHECK(both_classes.real == 0.25 && both_classes.integer == 44);
  CHECK_OK(ct_free_ops(ops));

  handlers.entry = override_point;
  ops = attach_to((const void*)point, &handlers);
  const struct Point two_doubles = point(1, 2);
  CHECK(two_doubles.x == -4 && two_doubles.y == -8);
  CHECK_OK(ct_free_ops(ops));

  handlers.entry = override_floats;
  ops = attach_to((const void*)floats, &handlers);
  const struct Floats two_floats = floats(1, 2);
  CHECK(two_floats.x == 0.5F && two_floats.y == -0.5F);
  CHECK_OK(ct_free_ops(ops));

  handlers.entry = override_quad;
  ops = attach_to((const void*)quad, &handlers);
  CHECK(quad(2) == (__float128)1 / 7);
  CHECK_OK(ct_free_ops(ops));

  handlers.entry = override_large;
  ops = attach_to((const void*)large, &handlers);
  const struct Large in_memory = large(100);
  for (unsigned i = 0; i < 5; ++i) CHECK_EQUAL(in_memory.words[i], 5 - i);
  CHECK_OK(ct_free_ops(ops));
}
TEST(callbacks_override_results_of_every_class) { check_overridden_results(attach_callback); }
TEST(probes_override_results_of_every_class) { check_overridden_results(attach); }

static void change_pair(ct_regs* regs) {
  ct_regs_set_return_word(regs, 0, ct_regs_return_word(regs, 0) + 10);
  ct_regs_set_return_word(regs, 1, ct_regs_return_word(regs, 1) + 20);
  ct_regs_set_return_word(regs, 2, 30);  // there is none
}

TEST(both_words_of_a_result_can_be_changed) {
  const struct Handlers handlers = {NULL, change_pair};
  ct_ops* ops = attach((const void*)pair, &handlers);
  const struct Pair changed = pair(1, 2, 3);
  CHECK_EQUAL(changed.first, 14);
  CHECK_EQUAL(changed.second, 25);
  detach(ops, 1);
}

// Callers: who called, when the function that was called jumped here, and in recursion.
static uint64_t parents[8];
static unsigned parent_count;

static void note_parent(ct_regs* regs) {
  if (parent_count < 8) parents[parent_count++] = ct_regs_parent_ip(regs);
}

HOOKED uint64_t jumped_to(uint64_t value) { return value + 1; }
HOOKED uint64_t jumps(uint64_t value) { return jumped_to(value + 1); }
HOOKED uint64_t recursive(uint64_t depth) {
  const uint64_t below = depth == 0 ? 0 : recursive(depth - 1);
  __asm__ volatile("" ::: "memory");
  return below + 1;
}
HOOKED uint64_t calls_them(void) {
  const uint64_t sum = jumps(1) + recursive(2);
  __asm__ volatile("" ::: "memory");
  return sum;
}

static int is_in(uint64_t address, const void* function) {
  return address > (uint64_t)function && address < (uint64_t)function + 256;
}

static void note_parent_of_callback(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)ip, (void)ops;
  CHECK_EQUAL(*(const uint64_t*)ct_regs_sp(regs), parent_ip);
  note_parent(regs);
}

TEST(the_caller_of_a_callback_is_where_the_call_returns_to) {
  ct_ops* ops = ct_new_callback(note_parent_of_callback, NULL, 0);
  CHECK_OK(ct_set_filter(ops, "recursive", 1));
  CHECK_OK(ct_set_filter(ops, "calls_them", 0));
  CHECK_OK(ct_register_ops(ops));
  parent_count = 0;
  CHECK_EQUAL(calls_them(), 6);
  CHECK_EQUAL(parent_count, 4);
  CHECK(is_in(parents[1], (const void*)calls_them));
  CHECK(is_in(parents[2], (const void*)recursive));
  CHECK(is_in(parents[3], (const void*)recursive));
  CHECK_OK(ct_free_ops(ops));
}

static int note_parent_at_entry(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data) {
  (void)ip, (void)parent_ip, (void)ops, (void)data;
  note_parent(regs);
  return 0;
}
static void note_parent_at_exit(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data) {
  (void)ip, (void)parent_ip, (void)ops, (void)data;
  note_parent(regs);
}

TEST(the_caller_is_the_same_at_entry_and_exit_of_tail_calls) {
  ct_ops* ops = ct_new_probe(note_parent_at_entry, note_parent_at_exit, 0, NULL, 0);
  CHECK_OK(ct_set_filter(ops, "jump*", 1));
  CHECK_OK(ct_register_ops(ops));
  parent_count = 0;
  CHECK_EQUAL(calls_them(), 6);
  CHECK_EQUAL(parent_count, 4);
  CHECK(is_in(parents[0], (const void*)calls_them));
#ifdef __OPTIMIZE__
  for (int i = 1; i < 4; ++i) CHECK_EQUAL(parents[i], parents[0]);
#else
  CHECK(is_in(parents[1], (const void*)jumps));
  CHECK_EQUAL(parents[2], parents[1]);
  CHECK_EQUAL(parents[3], parents[0]);
#endif
  CHECK_OK(ct_free_ops(ops));
}
