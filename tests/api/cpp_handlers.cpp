// Lambdas as handlers, and the life of what they capture.
#include <memory>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "calling_convention.h"
#include "calltap/calltap.hpp"
#include "check.h"

using calltap::Callback;
using calltap::EntryRegs;
using calltap::Exit;
using calltap::ExitRegs;
using calltap::Expected;
using calltap::Probe;

namespace {

enum class Colour : std::uint8_t { kRed, kGreen };
using Number = int;
struct Pair {
  long first;
  long second;
};

}  // namespace

extern "C" {

HOOKED int twice(int n) { return 2 * n; }

HOOKED long many(int a, const char* b, bool c, Colour d, short e, unsigned f, long g, const int* h, double x,
                 float y) {
  return a + (b != nullptr) + c + static_cast<int>(d) + e + f + g + *h + static_cast<long>(x) +
         static_cast<long>(y);
}

HOOKED double halved(double x) { return x / 2; }
HOOKED float halved_float(float x) { return x / 2; }
HOOKED Pair pair(long first, long second) { return {first, second}; }

HOOKED int throws(int n) {
  if (n > 0) throw std::runtime_error("no");
  return n;
}

HOOKED unsigned long factorial(unsigned long n) {
  const unsigned long product = n == 0 ? 1 : n * factorial(n - 1);
  __asm__ volatile("" ::: "memory");  // no loop can do this
  return product;
}
}

namespace {

template <class Owner, class Function>
Owner attached(Expected<Owner> made, Function* function) {
  made->set_filter_function(function).value();
  made->attach().value();
  return *std::move(made);
}

}  // namespace

TEST(a_lambda_sees_every_call_with_its_captures) {
  int calls = 0;
  int sum = 0;
  const Callback callback = attached(Callback::make([&, factor = 10](EntryRegs regs) {
                                       ++calls;
                                       sum += factor * regs.argument<int>(0);
                                     }),
                                     twice);
  for (int i = 1; i <= 100; ++i) CHECK_EQUAL(twice(i), 2 * i);
  CHECK_EQUAL(calls, 100);
  CHECK_EQUAL(sum, 10 * 5050);
  CHECK_EQUAL(callback.hits(), 100);
  CHECK_EQUAL(callback.missed(), 0);
  CHECK_EQUAL(callback.functions(), 1);
}

TEST(arguments_are_read_with_their_types) {
  const int on_stack = 77;
  int seen = 0;
  const Callback callback =
      attached(Callback::make([&](EntryRegs regs) {
                 CHECK_EQUAL(regs.argument<int>(0), -1);
                 CHECK_TEXT(regs.argument<const char*>(1), "text");
                 CHECK(regs.argument<bool>(2));
                 CHECK(regs.argument<Colour>(3) == Colour::kGreen);
                 CHECK_EQUAL(regs.argument<short>(4), -5);
                 CHECK_EQUAL(regs.argument<unsigned>(5), 4000000000U);
                 CHECK_EQUAL(regs.argument<long>(6), -7);
                 CHECK(regs.argument<const int*>(7) == &on_stack);
                 if (kRegisterArguments == 6) {
                   CHECK_EQUAL(regs.stack_argument<long>(0), -7);
                   CHECK(regs.stack_argument<const int*>(1) == &on_stack);
                 }
                 CHECK(regs.double_argument(0) == 2.5);
                 CHECK(regs.float_argument(1) == -1.5F);
                 CHECK(regs.vector(0).size() >= sizeof(double));
                 CHECK_EQUAL(regs.ip(), calltap::to_register(&many));
                 CHECK_EQUAL(regs.ip(), ct_regs_ip(regs.get()));
                 if (kIsReturnAddressOnStack) {
                   CHECK_EQUAL(regs.parent_ip(), *calltap::from_register<const std::uint64_t*>(regs.sp()));
                 }
                 ++seen;
               }),
               many);
  CHECK_EQUAL(many(-1, "text", true, Colour::kGreen, -5, 4000000000U, -7, &on_stack, 2.5, -1.5F),
              -1 + 1 + 1 + 1 - 5 + 4000000000L - 7 + 77 + 2 - 1);
  CHECK_EQUAL(seen, 1);
}

TEST(a_handler_changes_arguments_and_results) {
  {
    const Callback callback = attached(
        Callback::make([](EntryRegs regs) { regs.set_argument(0, regs.argument<int>(0) + 1); }), twice);
    CHECK_EQUAL(twice(20), 42);
  }
  {
    const Callback callback = attached(Callback::make([](EntryRegs regs) {
                                         regs.override_return(-3);
                                         CHECK(regs.overridden());
                                       }),
                                       twice);
    CHECK_EQUAL(twice(20), -3);
  }
  {
    const Callback callback =
        attached(Callback::make([](EntryRegs regs) { regs.override_double_return(0.125); }), halved);
    CHECK(halved(3) == 0.125);
  }
  {
    const Probe probe = attached(
        Probe::make_exit([](ExitRegs regs) { regs.set_return_value(regs.return_value<int>() + 1); }), twice);
    CHECK_EQUAL(twice(20), 41);
  }
  {
    const Probe probe = attached(
        Probe::make_exit([](ExitRegs regs) { regs.set_double_return_value(regs.double_return_value() * 4); }),
        halved);
    CHECK(halved(3) == 6);
  }
  {
    const Probe probe = attached(
        Probe::make_exit([](ExitRegs regs) { regs.set_float_return_value(regs.float_return_value() * 4); }),
        halved_float);
    CHECK(halved_float(3) == 6);
    const Callback callback =
        attached(Callback::make([](EntryRegs regs) { regs.override_float_return(-regs.float_argument(0)); }),
                 halved_float);
    CHECK(halved_float(3) == -12);
  }
  {
    const Probe probe =
        attached(Probe::make_exit([](ExitRegs regs) { regs.set_return_word(1, regs.return_word(0)); }), pair);
    CHECK_EQUAL(pair(1, 2).second, 1);
    const Callback callback = attached(Callback::make([](EntryRegs regs) {
                                         regs.override_return_word(0, 5);
                                         regs.override_return_word(1, 6);
                                       }),
                                       pair);
    CHECK_EQUAL(pair(1, 2).first, 5);
    CHECK_EQUAL(pair(1, 2).second, 5);  // the exit handler's
  }
  CHECK_EQUAL(twice(20), 40);
}

extern "C" HOOKED int thrice(int n) { return 3 * n; }

TEST(only_a_callback_that_may_goes_on_elsewhere) {
  bool set = false;
  const auto go_on_at_thrice = [&](EntryRegs regs) { set = regs.set_ip(calltap::to_register(&thrice)); };
  {
    const Callback callback = attached(Callback::make(go_on_at_thrice, {.ipmodify = true}), twice);
    CHECK_EQUAL(twice(5), 15);
    CHECK(set);
  }
  const Callback callback = attached(Callback::make(go_on_at_thrice), twice);
  CHECK_EQUAL(twice(5), 10);
  CHECK(!set);
}

TEST(a_later_handler_sees_that_the_result_was_supplied) {
  int overridden = 0;
  int exits = 0;
  const Callback first = attached(Callback::make([](EntryRegs regs) {
                                    if (regs.argument<int>(0) == 1) regs.override_return(100);
                                  }),
                                  twice);
  const Probe second = attached(Probe::make([&](EntryRegs regs) { overridden += regs.overridden() ? 1 : 0; },
                                            [&](ExitRegs regs) { exits += regs.return_value<int>(); }),
                                twice);
  CHECK_EQUAL(twice(1), 100);
  CHECK_EQUAL(twice(2), 4);
  CHECK_EQUAL(overridden, 1);
  CHECK_EQUAL(exits, 104);
}

TEST(each_call_has_its_own_data) {
  struct Data {
    std::uint64_t n;
    std::uint32_t zero[6];
  };
  static_assert(sizeof(Data) == CT_DATA_MAX);
  int exits = 0;
  const Probe probe = attached(Probe::make<Data>(
                                   [](EntryRegs regs, Data& data) {
                                     for (const std::uint32_t z : data.zero) CHECK_EQUAL(z, 0);
                                     data.n = regs.argument(0);
                                     for (std::uint32_t& z : data.zero) z = 1;
                                   },
                                   [&](ExitRegs regs, const Data& data) {
                                     // The innermost call ends first.
                                     CHECK_EQUAL(data.n, exits);
                                     CHECK_EQUAL(data.zero[5], 1);
                                     CHECK(!regs.unwound());
                                     ++exits;
                                   }),
                               factorial);
  CHECK_EQUAL(factorial(10), 3628800);
  CHECK_EQUAL(exits, 11);
}

TEST(data_with_initialisers_is_initialised) {
  struct Data {
    int answer = 42;
  };
  int exits = 0;
  const Probe probe = attached(Probe::make<Data>([](EntryRegs, Data& data) { ++data.answer; },
                                                 [&](ExitRegs, Data& data) {
                                                   CHECK_EQUAL(data.answer, 43);
                                                   ++exits;
                                                 }),
                               twice);
  twice(1);
  twice(2);
  CHECK_EQUAL(exits, 2);
}

TEST(an_unwanted_exit_is_not_called) {
  int exits = 0;
  const Probe probe = attached(
      Probe::make(
          [](EntryRegs regs) { return regs.argument<int>(0) % 2 == 0 ? Exit::kWanted : Exit::kUnwanted; },
          [&](ExitRegs regs) {
            CHECK_EQUAL(regs.return_value<int>() % 4, 0);
            ++exits;
          }),
      twice);
  for (int i = 0; i < 10; ++i) CHECK_EQUAL(twice(i), 2 * i);
  CHECK_EQUAL(exits, 5);
  CHECK_EQUAL(probe.hits(), 10);
}

TEST(the_exit_of_a_call_that_threw_says_so) {
  int returned = 0;
  int unwound = 0;
  const Probe probe =
      attached(Probe::make_exit([&](ExitRegs regs) { ++(regs.unwound() ? unwound : returned); }), throws);
  CHECK_EQUAL(throws(0), 0);
  try {
    throws(1);
    CHECK(false);
  } catch (const std::runtime_error& error) {
    CHECK_TEXT(error.what(), "no");
  }
  CHECK_EQUAL(returned, 1);
  CHECK_EQUAL(unwound, 1);
}

TEST(a_lambda_that_throws_is_caught_and_counted) {
  const std::uint64_t before = calltap::handlers_thrown();
  int entries = 0;
  {
    const Callback callback = attached(Callback::make([&](EntryRegs) {
                                         ++entries;
                                         throw std::runtime_error("from a callback");
                                       }),
                                       twice);
    CHECK_EQUAL(twice(4), 8);
    CHECK_EQUAL(twice(5), 10);
  }
  CHECK_EQUAL(entries, 2);
  CHECK_EQUAL(calltap::handlers_thrown() - before, 2);
  int exits = 0;
  {
    const Probe probe = attached(Probe::make(
                                     [](EntryRegs regs) {
                                       if (regs.argument<int>(0) == 0) throw 1;
                                     },
                                     [&](ExitRegs) {
                                       ++exits;
                                       throw std::vector<int>(100);
                                     }),
                                 twice);
    CHECK_EQUAL(twice(0), 0);
    CHECK_EQUAL(exits, 0);
    CHECK_EQUAL(twice(7), 14);
    CHECK_EQUAL(exits, 1);
  }
  CHECK_EQUAL(calltap::handlers_thrown() - before, 4);
}

TEST(a_moved_owner_stays_attached) {
  int calls = 0;
  std::vector<Callback> owners;
  owners.push_back(attached(Callback::make([&](EntryRegs) { ++calls; }), twice));
  twice(1);
  owners.reserve(owners.capacity() + 1);
  Callback moved = std::move(owners[0]);
  owners.clear();
  twice(1);
  CHECK_EQUAL(calls, 2);
  // What is assigned over is detached.
  moved = attached(Callback::make([](EntryRegs) {}), thrice);
  twice(1);
  CHECK_EQUAL(calls, 2);
  CHECK_TEXT(calltap::enabled_functions().value().c_str(), "thrice ");
  CHECK(calltap::enabled_functions()->find("twice ") == std::string::npos);
}

TEST(destroying_detaches_and_destroys_the_captures) {
  const auto shared = std::make_shared<int>(0);
  {
    const Callback callback = attached(Callback::make([shared](EntryRegs) { ++*shared; }), twice);
    twice(1);
    CHECK_EQUAL(shared.use_count(), 2);
  }
  CHECK_EQUAL(shared.use_count(), 1);
  twice(1);
  CHECK_EQUAL(*shared, 1);
  CHECK_EQUAL(calltap::enabled_functions()->size(), 0);
}

TEST(destroying_waits_for_a_handler_that_runs) {
  std::atomic<bool> inside{false};
  std::atomic<bool> go_on{false};
  std::atomic<bool> ended{false};
  auto callback = std::make_unique<Callback>(attached(Callback::make([&](EntryRegs) {
                                                        inside = true;
                                                        while (!go_on) std::this_thread::yield();
                                                        ended = true;
                                                      }),
                                                      twice));
  std::thread caller([] { twice(1); });
  while (!inside) std::this_thread::yield();
  std::thread opener([&] {
    sleep_ms(50);
    CHECK(!ended);
    go_on = true;
  });
  callback.reset();
  CHECK(ended);
  caller.join();
  opener.join();
}

TEST(an_owner_destroyed_in_a_handler_is_abandoned_and_freed_later) {
  const auto shared = std::make_shared<int>(0);
  std::unique_ptr<Callback> own;
  own = std::make_unique<Callback>(attached(Callback::make([&own, shared](EntryRegs) {
                                              ++*shared;
                                              own.reset();
                                              // What the handler runs on is still there.
                                              CHECK_EQUAL(shared.use_count(), 2);
                                              CHECK(!calltap::free_abandoned());
                                            }),
                                            twice));
  CHECK_EQUAL(twice(1), 2);
  CHECK_EQUAL(*shared, 1);
  CHECK_EQUAL(twice(2), 4);
  CHECK_EQUAL(*shared, 1);
  CHECK_EQUAL(shared.use_count(), 2);
  CHECK_TEXT(enabled_line("twice"), "(1)");
  CHECK(calltap::free_abandoned());
  CHECK_EQUAL(shared.use_count(), 1);
  CHECK_TEXT(enabled_line("twice"), "");
  CHECK_EQUAL(calltap::enabled_functions()->size(), 0);
}

TEST(any_later_operation_frees_the_abandoned) {
  const auto shared = std::make_shared<int>(0);
  std::unique_ptr<Probe> own;
  own = std::make_unique<Probe>(attached(Probe::make([](EntryRegs) {},
                                                     [&own, shared](ExitRegs) {
                                                       ++*shared;
                                                       own.reset();
                                                     }),
                                         twice));
  twice(1);
  twice(1);
  CHECK_EQUAL(*shared, 1);
  CHECK_EQUAL(shared.use_count(), 2);
  CHECK(Callback::make([](EntryRegs) {}).has_value());
  CHECK_EQUAL(shared.use_count(), 1);
}

TEST(what_a_handler_may_not_do_is_an_error) {
  Expected<Callback> other = Callback::make([](EntryRegs) {});
  int made = 0;
  Callback* self = nullptr;
  Callback callback = *Callback::make([&](EntryRegs) {
    CHECK_EQUAL(self->attach().error().code(), EDEADLK);
    CHECK_EQUAL(self->detach().error().code(), EDEADLK);
    CHECK_EQUAL(self->disable().error().code(), EDEADLK);
    CHECK_EQUAL(self->set_filter("x").error().code(), EDEADLK);
    CHECK_EQUAL(calltap::set_enabled(false).error().code(), EDEADLK);
    CHECK_EQUAL(calltap::enabled_functions().error().code(), EDEADLK);
    CHECK_EQUAL(Callback::make([](EntryRegs) {}).error().code(), EDEADLK);
    ++made;
  });
  self = &callback;
  callback.set_filter_function(twice).value();
  callback.attach().value();
  twice(1);
  CHECK_EQUAL(made, 1);
}

TEST(threads_call_while_owners_come_and_go) {
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      while (!stop) CHECK(twice(21) == 42);
    });
  }
  std::uint64_t seen = 0;
  for (int round = 0; round < 300; ++round) {
    auto alive = std::make_unique<std::atomic<std::uint64_t>>(0);
    {
      const Probe probe = attached(
          Probe::make<std::uint64_t>([](EntryRegs, std::uint64_t& n) { n = 5; },
                                     [counter = alive.get()](ExitRegs, std::uint64_t& n) { *counter += n; }),
          twice);
      if (round % 4 == 0) std::this_thread::yield();
    }
    CHECK_EQUAL(*alive % 5, 0);
    seen += *alive;
    alive.reset();
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  CHECK(seen > 0);
}
