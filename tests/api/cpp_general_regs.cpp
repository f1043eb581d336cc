// Handlers compiled for general registers only, as Options::general_regs_only wants them.
#include "calltap/calltap.hpp"

#include "check.h"

extern "C" HOOKED int twice(int n) { return 2 * n; }

TEST(a_handler_with_general_registers_only_sees_its_calls) {
  int sum = 0;
  auto made = calltap::Callback::make(
      [&](calltap::EntryRegs regs) {
        sum += regs.argument<int>(0);
        CHECK(regs.vector(0).empty());
      },
      {.general_regs_only = true});
  made->set_filter_function(twice).value();
  made->attach().value();
  for (int i = 0; i < 10; ++i) CHECK_EQUAL(twice(i), 2 * i);
  CHECK_EQUAL(sum, 45);
}
