// Tracer and direct call on one function come and go in every order, and each sees exactly the calls made
// while it was on. What is attached when the same clients are on is the same, whatever the order. The
// kernel's ftrace-direct and kprobe-direct tests.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "trampolines.h"

static unsigned bodies;
HOOKED void traced_work(void) { ++bodies; }
HOOKED void other_work(void) { ++bodies; }

DIRECT_TRAMPOLINE(count_direct, direct_calls);
DIRECT_TRAMPOLINE(count_other_direct, other_direct_calls);

static unsigned entries;
static unsigned exits;

static void on_call(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)ip, (void)parent_ip, (void)ops, (void)regs;
  ++entries;
}

static int on_entry(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data) {
  (void)ip, (void)parent_ip, (void)ops, (void)regs, (void)data;
  ++entries;
  return 0;
}

static void on_exit_of_call(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data) {
  (void)ip, (void)parent_ip, (void)ops, (void)regs, (void)data;
  ++exits;
}

enum Step { kTracerOn, kDirectOn, kTracerOff, kDirectOff };

// Off cannot come before on.
static const enum Step orders[][4] = {
    {kTracerOn, kDirectOn, kTracerOff, kDirectOff}, {kTracerOn, kDirectOn, kDirectOff, kTracerOff},
    {kDirectOn, kTracerOn, kTracerOff, kDirectOff}, {kDirectOn, kTracerOn, kDirectOff, kTracerOff},
    {kTracerOn, kTracerOff, kDirectOn, kDirectOff}, {kDirectOn, kDirectOff, kTracerOn, kTracerOff},
};

static ct_ops* tracer;
static ct_ops* direct;
static int wants_exits;
static int tracer_is_on;
static int direct_is_on;
// What ct_enabled_functions() says, by [tracer][direct].
static char seen[2][2][2048];

/// M says that there ever was a direct call: not part of what is on now.
static void forget_modified(char* text) {
  for (char* at = strstr(text, " M"); at != NULL; at = strstr(at, " M")) memcpy(at, "  ", 2);
}

static void check_now(void) {
  entries = exits = 0;
  const unsigned bodies_before = bodies;
  const uint64_t direct_before = direct_calls;
  traced_work();
  traced_work();
  CHECK_EQUAL(bodies - bodies_before, 2);
  CHECK_EQUAL(entries, tracer_is_on ? 2 : 0);
  CHECK_EQUAL(exits, tracer_is_on && wants_exits ? 2 : 0);
  CHECK_EQUAL(direct_calls - direct_before, direct_is_on ? 2 : 0);
  char* text = enabled_functions();
  forget_modified(text);
  char* known = seen[tracer_is_on][direct_is_on];
  if (known[0] == '\0') {
    snprintf(known, sizeof seen[0][0], "%s|", text);
  }
  CHECK_EQUAL(strncmp(known, text, strlen(text)), 0);
  CHECK_EQUAL(strlen(known), strlen(text) + 1);
  free(text);
}

static void take(enum Step step) {
  switch (step) {
    case kTracerOn:
      CHECK_OK(ct_register_ops(tracer));
      tracer_is_on = 1;
      break;
    case kTracerOff:
      CHECK_OK(ct_unregister_ops(tracer));
      tracer_is_on = 0;
      break;
    case kDirectOn:
      CHECK_OK(ct_register_direct(direct, count_direct));
      direct_is_on = 1;
      break;
    case kDirectOff:
      CHECK_OK(ct_unregister_direct(direct));
      direct_is_on = 0;
      break;
  }
}

static void check_orders(ct_ops* tracing) {
  tracer = tracing;
  direct = ct_new_ops(NULL, 0);
  ct_set_name(tracer, "tracer");
  ct_set_name(direct, "direct");
  CHECK_OK(ct_set_filter(tracer, "traced_work", 0));
  CHECK_OK(ct_set_filter(direct, "traced_work", 0));
  for (unsigned round = 0; round < 2; ++round) {
    for (unsigned i = 0; i < sizeof orders / sizeof orders[0]; ++i) {
      check_now();
      for (int step = 0; step < 4; ++step) {
        take(orders[i][step]);
        check_now();
      }
    }
  }
  CHECK_OK(ct_free_ops(tracer));
  CHECK_OK(ct_free_ops(direct));
}

static void check_orders_beside_other_direct(ct_ops* tracing) {
  ct_ops* other = ct_new_ops(NULL, 0);
  CHECK_OK(ct_set_filter(other, "other_work", 0));
  CHECK_OK(ct_register_direct(other, count_other_direct));
  check_orders(tracing);
  other_work();
  CHECK_EQUAL(other_direct_calls, 1);
  CHECK_OK(ct_unregister_direct(other));
  other_work();
  CHECK_EQUAL(other_direct_calls, 1);
  CHECK_OK(ct_free_ops(other));
}

TEST(callback_and_direct) { check_orders(ct_new_callback(on_call, NULL, 0)); }
TEST(lean_callback_and_direct) { check_orders(ct_new_callback(on_call, NULL, CT_GENERAL_REGS_ONLY)); }
TEST(probe_and_direct) {
  wants_exits = 1;
  check_orders(ct_new_probe(on_entry, on_exit_of_call, 0, NULL, 0));
}
TEST(lean_probe_and_direct) {
  wants_exits = 1;
  check_orders(ct_new_probe(on_entry, on_exit_of_call, 0, NULL, CT_GENERAL_REGS_ONLY));
}
TEST(callback_and_direct_beside_a_second_direct) {
  check_orders_beside_other_direct(ct_new_callback(on_call, NULL, 0));
}
TEST(probe_and_direct_beside_a_second_direct) {
  wants_exits = 1;
  check_orders_beside_other_direct(ct_new_probe(on_entry, on_exit_of_call, 0, NULL, 0));
}
