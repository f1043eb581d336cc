// Exceptions that come out of handlers are caught where the handler was called; the program's own are left
// alone.
#include <exception>
#include <stdexcept>
#include <string>

#include "check.h"

namespace {

unsigned bodies;
struct Alive {
  static inline int count = 0;
  Alive() { ++count; }
  Alive(const Alive&) { ++count; }
  ~Alive() { --count; }
};

}  // namespace

extern "C" {
HOOKED int work(int value) {
  ++bodies;
  return value + 1;
}
HOOKED int throwing_work(int value) {
  if (value != 0) throw std::runtime_error("of the program");
  return 0;
}
}

namespace {

unsigned entries;
unsigned exits;
unsigned unwound_exits;
bool throw_at_entry = false;
bool throw_at_exit = false;

void throw_one() {
  const Alive on_stack;
  throw Alive();
}

void callback(uint64_t, uint64_t, ct_ops*, ct_regs*) {
  ++entries;
  if (throw_at_entry) throw_one();
}
int entry(uint64_t, uint64_t, ct_ops*, ct_regs*, void*) {
  ++entries;
  if (throw_at_entry) throw_one();
  return 0;
}
void exit_handler(uint64_t, uint64_t, ct_ops*, ct_regs* regs, void*) {
  ++exits;
  if (ct_regs_unwound(regs) != 0) ++unwound_exits;
  if (throw_at_exit) throw_one();
}

void quiet_callback(uint64_t, uint64_t, ct_ops* ops, ct_regs*) {
  ++*static_cast<unsigned*>(ct_ops_user(ops));
}

ct_ops* attach(ct_ops* ops, const char* pattern) {
  CHECK_OK(ct_set_filter(ops, pattern, 0));
  CHECK_OK(ct_register_ops(ops));
  return ops;
}

void check_swallowed(unsigned expected_throws) {
  const uint64_t before = ct_handlers_thrown();
  bodies = 0;
  for (int i = 0; i < 10; ++i) CHECK_EQUAL(work(i), i + 1);
  CHECK_EQUAL(bodies, 10);
  CHECK_EQUAL(ct_handlers_thrown() - before, 10 * expected_throws);
  CHECK_EQUAL(Alive::count, 0);
  CHECK_EQUAL(std::uncaught_exceptions(), 0);
  CHECK(std::current_exception() == nullptr);
}

/// With and without other clients on the function.
void check_alone_and_beside(ct_ops* ops, unsigned expected_throws) {
  attach(ops, "work");
  check_swallowed(expected_throws);
  unsigned seen[2] = {};
  ct_ops* later = attach(ct_new_callback(quiet_callback, &seen[0], 0), "work");
  ct_ops* lean = attach(ct_new_callback(quiet_callback, &seen[1], CT_GENERAL_REGS_ONLY), "work");
  check_swallowed(expected_throws);
  CHECK_EQUAL(seen[0], 10);
  CHECK_EQUAL(seen[1], 10);
  CHECK_OK(ct_free_ops(later));
  CHECK_OK(ct_free_ops(lean));
  CHECK_EQUAL(ct_ops_hits(ops), 20);
  CHECK_EQUAL(entries, 20);
  CHECK_OK(ct_free_ops(ops));
}

}  // namespace

TEST(a_callback_that_throws) {
  throw_at_entry = true;
  check_alone_and_beside(ct_new_callback(callback, nullptr, 0), 1);
}
TEST(a_lean_callback_that_throws) {
  throw_at_entry = true;
  check_alone_and_beside(ct_new_callback(callback, nullptr, CT_GENERAL_REGS_ONLY), 1);
}
TEST(a_probe_whose_entry_throws_has_no_exit) {
  throw_at_entry = true;
  check_alone_and_beside(ct_new_probe(entry, exit_handler, 8, nullptr, 0), 1);
  CHECK_EQUAL(exits, 0);
}
TEST(a_probe_whose_exit_throws) {
  throw_at_exit = true;
  check_alone_and_beside(ct_new_probe(entry, exit_handler, 8, nullptr, 0), 1);
  CHECK_EQUAL(exits, 20);
}
TEST(a_lean_probe_whose_exit_throws) {
  throw_at_exit = true;
  check_alone_and_beside(ct_new_probe(entry, exit_handler, 8, nullptr, CT_GENERAL_REGS_ONLY), 1);
  CHECK_EQUAL(exits, 20);
}

TEST(the_programs_exceptions_pass_handlers_that_do_not_throw) {
  ct_ops* ops = attach(ct_new_probe(entry, exit_handler, 8, nullptr, 0), "throwing_work");
  std::string what;
  for (int i = 0; i < 10; ++i) {
    try {
      throwing_work(1);
    } catch (const std::runtime_error& error) {
      what = error.what();
    }
    CHECK(what == "of the program");
    CHECK_EQUAL(std::uncaught_exceptions(), 0);
  }
  CHECK_EQUAL(entries, 10);
  CHECK_EQUAL(exits, 10);
  CHECK_EQUAL(unwound_exits, 10);
  CHECK_EQUAL(ct_handlers_thrown(), 0);
  CHECK_OK(ct_free_ops(ops));
}

namespace {

// Calls hooked functions while the program's exception is on its way.
struct CallsInDestructor {
  int expected;
  ~CallsInDestructor() {
    CHECK_EQUAL(std::uncaught_exceptions(), expected);
    CHECK_EQUAL(work(1), 2);
    CHECK_EQUAL(std::uncaught_exceptions(), expected);
  }
};

}  // namespace

TEST(a_handler_that_throws_during_the_programs_unwinding_leaves_its_exception_alone) {
  throw_at_entry = true;
  ct_ops* ops = attach(ct_new_callback(callback, nullptr, 0), "work");
  for (int i = 0; i < 5; ++i) {
    bool caught = false;
    try {
      const CallsInDestructor object{1};
      throw std::runtime_error("of the program");
    } catch (const std::runtime_error& error) {
      caught = std::string(error.what()) == "of the program";
      CHECK_EQUAL(std::uncaught_exceptions(), 0);
      CHECK(std::current_exception() != nullptr);
      CHECK_EQUAL(work(1), 2);
      CHECK(std::current_exception() != nullptr);
    }
    CHECK(caught);
  }
  CHECK_EQUAL(ct_handlers_thrown(), 10);
  CHECK_EQUAL(Alive::count, 0);
  CHECK_OK(ct_free_ops(ops));
}

TEST(an_exit_handler_that_throws_while_the_programs_exception_passes) {
  throw_at_exit = true;
  ct_ops* ops = attach(ct_new_probe(entry, exit_handler, 8, nullptr, 0), "throwing_work");
  for (int i = 0; i < 5; ++i) {
    bool caught = false;
    try {
      throwing_work(1);
    } catch (const std::runtime_error& error) {
      caught = std::string(error.what()) == "of the program";
    }
    CHECK(caught);
    CHECK_EQUAL(std::uncaught_exceptions(), 0);
  }
  CHECK_EQUAL(exits, 5);
  CHECK_EQUAL(ct_handlers_thrown(), 5);
  CHECK_EQUAL(Alive::count, 0);
  CHECK_OK(ct_free_ops(ops));
}

namespace {
void catches_its_own(uint64_t, uint64_t, ct_ops*, ct_regs*) {
  ++entries;
  try {
    throw_one();
  } catch (const Alive&) {
  }
}
}  // namespace

TEST(a_handler_that_catches_its_own_exceptions_has_not_thrown) {
  ct_ops* ops = attach(ct_new_callback(catches_its_own, nullptr, 0), "work");
  check_swallowed(0);
  CHECK_EQUAL(ct_ops_hits(ops), 10);
  CHECK_OK(ct_free_ops(ops));
}
