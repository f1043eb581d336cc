// More functions than can have direct calls: a registration that is refused takes nothing from later ones.
#include "check.h"
#include "trampolines.h"

// slot_1000 to slot_9999
#define TEN(X, n) X(n##0) X(n##1) X(n##2) X(n##3) X(n##4) X(n##5) X(n##6) X(n##7) X(n##8) X(n##9)
#define HUNDRED(X, n) \
  TEN(X, n##0)        \
  TEN(X, n##1)        \
  TEN(X, n##2) TEN(X, n##3) TEN(X, n##4) TEN(X, n##5) TEN(X, n##6) TEN(X, n##7) TEN(X, n##8) TEN(X, n##9)
#define THOUSAND(X, n) \
  HUNDRED(X, n##0)     \
  HUNDRED(X, n##1)     \
  HUNDRED(X, n##2)     \
  HUNDRED(X, n##3)     \
  HUNDRED(X, n##4) HUNDRED(X, n##5) HUNDRED(X, n##6) HUNDRED(X, n##7) HUNDRED(X, n##8) HUNDRED(X, n##9)

static unsigned bodies;
#define DEFINE(n) \
  HOOKED void slot_##n(void) { ++bodies; }
THOUSAND(DEFINE, 1)
THOUSAND(DEFINE, 2)
THOUSAND(DEFINE, 3)
THOUSAND(DEFINE, 4)
THOUSAND(DEFINE, 5)
THOUSAND(DEFINE, 6)
THOUSAND(DEFINE, 7)
THOUSAND(DEFINE, 8)
THOUSAND(DEFINE, 9)

DIRECT_TRAMPOLINE(count_direct, direct_calls);

static ct_ops* direct_of(const char* pattern) {
  ct_ops* ops = ct_new_ops(NULL, 0);
  CHECK_OK(ct_set_filter(ops, pattern, 1));
  return ops;
}

TEST(refused_registrations_use_up_no_slots) {
  ct_ops* all = direct_of("slot_*");
  CHECK_FAILS(ct_register_direct(all, count_direct), ENOSPC, "too many functions");
  ct_ops* few = direct_of("slot_99*");
  CHECK_OK(ct_register_direct(few, count_direct));
  // All but these would fit, but one of them is taken: nothing of the others may be.
  ct_ops* most = direct_of("slot_[2-9]*");
  for (int i = 0; i < 3; ++i) CHECK_FAILS(ct_register_direct(most, count_direct), EBUSY, "slot_99");
  CHECK_OK(ct_unregister_direct(few));
  ct_ops* others = direct_of("slot_1*");
  CHECK_OK(ct_register_direct(others, count_direct));
  slot_8000();
  slot_1000();
  CHECK_EQUAL(direct_calls, 1);
  CHECK_EQUAL(bodies, 2);
  CHECK_OK(ct_unregister_direct(others));
}
