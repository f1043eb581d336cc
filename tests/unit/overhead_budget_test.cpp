// The decisions of an overhead budget, over programs that are made of numbers: functions with rates of calls.
#include "budget/overhead_budget.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

namespace calltap::budget {
namespace {

constexpr double kSecond = 1e9;
constexpr double kCallCost = 20;  // ns

/// A program with one thread, and somebody who looks at it as he is told.
class Program {
 public:
  struct Function {
    double calls_a_second = 0;  // of its own time
    double duration_ns = 100;
  };

  explicit Program(double share) : budget_({.share = share, .call_cost_ns = kCallCost}) { look(0, 0); }

  std::map<std::uint32_t, Function> functions;
  double change_cost_ns = 100'000;
  double busy = 1;  // share of the time in which it works
  bool refuses = false;

  OverheadBudget& budget() { return budget_; }
  [[nodiscard]] bool is_off(std::uint32_t function) const { return off_.contains(function); }
  [[nodiscard]] double seen(std::uint32_t function) const { return value(seen_, function); }
  [[nodiscard]] double missed(std::uint32_t function) const { return value(missed_, function); }
  [[nodiscard]] double estimated(std::uint32_t function) const {
    for (const OffFunction& off : budget_.history()) {
      if (off.function == function) return off.missed_calls;
    }
    return 0;
  }
  /// What recording really cost, of what the program needs by itself.
  [[nodiscard]] double overhead() const { return spent_ / own_; }
  [[nodiscard]] unsigned changes() const { return changes_; }

  /// Runs for so much time.
  void run(double ns) {
    for (const double end = time_ + ns; time_ < end;) {
      const double step = std::min(static_cast<double>(budget_.next_look_ns()), end - time_);
      advance(step);
      if (budget_.is_waiting()) {
        answer();
      } else {
        asked_ = budget_.decide();
      }
    }
  }

 private:
  static double value(const std::map<std::uint32_t, double>& map, std::uint32_t function) {
    const auto found = map.find(function);
    return found == map.end() ? 0 : found->second;
  }

  void advance(double ns) {
    double cost_of_work = 0;
    for (const auto& [number, f] : functions)
      cost_of_work += is_off(number) ? 0 : f.calls_a_second / kSecond * kCallCost;
    const double own = ns * busy / (1 + cost_of_work);
    std::vector<FunctionCalls> calls;
    double cost = 0;
    for (const auto& [number, f] : functions) {
      const double made = f.calls_a_second / kSecond * own;
      if (is_off(number)) {
        missed_[number] += made;
        continue;
      }
      rest_[number] += made;
      const auto whole = static_cast<std::uint64_t>(rest_[number]);
      rest_[number] -= static_cast<double>(whole);
      seen_[number] += static_cast<double>(whole);
      cost += static_cast<double>(whole) * kCallCost;
      calls.push_back(
          {number, whole, whole, static_cast<std::uint64_t>(static_cast<double>(whole) * f.duration_ns)});
    }
    look(ns, own + cost, calls);
    own_ += own;
    spent_ += cost;
  }

  void answer() {
    if (refuses) {
      budget_.refused();
      return;
    }
    ++changes_;
    upkeep_ += change_cost_ns;
    cpu_ += change_cost_ns;
    spent_ += change_cost_ns;
    const std::vector<std::uint32_t> off = budget_.functions_off();
    off_ = {off.begin(), off.end()};
    budget_.made();
  }

  void look(double ns, double cpu, std::span<const FunctionCalls> calls = {}) {
    time_ += ns;
    cpu_ += cpu;
    Look look;
    look.time_ns = static_cast<std::uint64_t>(time_);
    look.cpu_ns = static_cast<std::uint64_t>(cpu_);
    look.upkeep_ns = static_cast<std::uint64_t>(upkeep_);
    look.calls = calls;
    budget_.look(look);
  }

  OverheadBudget budget_;
  Change asked_;
  std::set<std::uint32_t> off_;
  std::map<std::uint32_t, double> rest_;
  std::map<std::uint32_t, double> seen_;
  std::map<std::uint32_t, double> missed_;
  double time_ = 0;
  double cpu_ = 0;
  double upkeep_ = 0;
  double own_ = 0;
  double spent_ = 0;
  unsigned changes_ = 0;
};

TEST(OverheadBudget, LeavesAProgramAloneThatCostsLess) {
  Program program(0.05);
  for (std::uint32_t f = 1; f <= 10; ++f) program.functions[f] = {175'000, 300};  // 3.5 %
  program.run(2 * kSecond);
  EXPECT_EQ(program.changes(), 0);
  EXPECT_TRUE(program.budget().history().empty());
  EXPECT_NEAR(program.overhead(), 0.035, 0.001);
}

TEST(OverheadBudget, TurnsOffTheHotTinyFunctionAndKeepsTheSlowOnes) {
  Program program(0.05);
  program.functions[1] = {50e6, 5};
  for (std::uint32_t f = 2; f <= 9; ++f) program.functions[f] = {1'000, 100'000};
  program.run(5 * kSecond);
  ASSERT_EQ(program.budget().history().size(), 1);
  EXPECT_EQ(program.budget().history()[0].function, 1);
  EXPECT_LE(program.overhead(), 0.05 * 1.1);
  EXPECT_GT(program.seen(1), 0);
  EXPECT_NEAR(program.estimated(1), program.missed(1), program.missed(1) * 0.05);
}

TEST(OverheadBudget, OfEqualCostTheShorterCallsGoFirst) {
  Program program(0.035);
  program.functions[9] = {1e6, 5};
  program.functions[2] = {1e6, 900};  // 2 % each
  program.run(1 * kSecond);
  EXPECT_GT(program.missed(9), 0.8e6) << "but for trials";
  EXPECT_EQ(program.missed(2), 0);
}

TEST(OverheadBudget, MakesUpForAHotBeginning) {
  for (const double share : {0.02, 0.05, 0.2}) {
    Program program(share);
    for (std::uint32_t f = 1; f <= 500; ++f)  // 150 M calls a second, few of them by most functions
      program.functions[f] = {60e6 / (f + 1.0), 10.0 + f};
    program.run(5 * kSecond);
    EXPECT_LE(program.overhead(), share * 1.1) << share;
    EXPECT_GE(program.overhead(), share * 0.4) << share;  // and uses what it may
  }
}

TEST(OverheadBudget, TurnsAFunctionOnAgainThatCalms) {
  Program program(0.05);
  program.functions[1] = {50e6, 5};
  program.functions[2] = {1'000, 1'000};
  program.run(1 * kSecond);
  ASSERT_TRUE(program.is_off(1));
  program.functions[1].calls_a_second = 1'000;
  program.run(1 * kSecond);
  EXPECT_FALSE(program.is_off(1));
  EXPECT_FALSE(program.budget().history()[0].is_off);
  const double missed = program.missed(1);
  program.run(1 * kSecond);
  EXPECT_EQ(program.missed(1), missed) << "it is recorded from now on";
  program.functions[1].calls_a_second = 50e6;
  program.run(1 * kSecond);
  EXPECT_TRUE(program.is_off(1));
  EXPECT_GE(program.budget().history()[0].times_off, 2);
}

TEST(OverheadBudget, TrialsCostAShareOfTheBudgetAtMost) {
  Program program(0.02);
  program.functions[1] = {100e6, 5};
  program.run(1 * kSecond);
  const double before = program.seen(1);
  program.run(5 * kSecond);
  const double cost = (program.seen(1) - before) * kCallCost;
  EXPECT_GT(cost, 0) << "there are trials";
  EXPECT_LE(cost, 0.6 * 0.02 * 5 * kSecond);
  EXPECT_LE(program.overhead(), 0.02 * 1.1);
}

TEST(OverheadBudget, APhaseAtATime) {
  Program program(0.05);
  for (int phase = 0; phase < 20; ++phase) {
    for (std::uint32_t f = 1; f <= 40; ++f) {
      const bool hot = f % 4 == static_cast<std::uint32_t>(phase % 4);
      program.functions[f] = {hot ? 5e6 : 100.0, 20};
    }
    program.run(0.3 * kSecond);
  }
  EXPECT_LE(program.overhead(), 0.05 * 1.3);
}

TEST(OverheadBudget, AnIdleProgramIsNotCharged) {
  Program program(0.05);
  program.busy = 0.1;
  program.functions[1] = {40e6, 5};
  program.functions[2] = {10'000, 5'000};
  program.run(10 * kSecond);
  EXPECT_LE(program.overhead(), 0.05 * 1.2);
  EXPECT_EQ(program.budget().history().size(), 1);
}

TEST(OverheadBudget, WhatIsOwedHasALimit) {
  Program program(0.05);
  program.refuses = true;
  program.functions[1] = {100e6, 5};
  program.run(60 * kSecond);  // costs 40 s, 800 times what 1 s of work has
  program.refuses = false;
  program.run(1 * kSecond);
  ASSERT_TRUE(program.is_off(1));
  program.functions[1].calls_a_second = 1'000;
  program.run(40 * kSecond);
  EXPECT_FALSE(program.is_off(1));
}

TEST(OverheadBudget, WhatIsSavedHasALimit) {
  Program program(0.02);
  program.functions[1] = {10, 1'000};
  program.run(100 * kSecond);  // saves nearly all of it
  program.functions[2] = {100e6, 5};
  const double before = program.seen(2);
  program.run(2 * kSecond);
  EXPECT_TRUE(program.is_off(2));
  EXPECT_LE((program.seen(2) - before) * kCallCost, 0.1 * kSecond) << "not two seconds' worth of calls";
}

TEST(OverheadBudget, WhatIsRefusedStaysOn) {
  Program program(0.05);
  program.refuses = true;
  program.functions[1] = {50e6, 5};
  program.run(0.1 * kSecond);
  EXPECT_TRUE(program.budget().history().empty());
  EXPECT_TRUE(program.budget().functions_off().empty() || program.budget().is_waiting());
}

TEST(OverheadBudget, CallsOfNobodyCount) {
  OverheadBudget budget({.share = 0.05, .call_cost_ns = 20});
  budget.look({});
  budget.look({.time_ns = 1'000'000'000, .cpu_ns = 1'000'000'000, .upkeep_ns = 0, .unseen_calls = 1'000'000});
  EXPECT_DOUBLE_EQ(budget.spent_ns(), 20e6);
  EXPECT_DOUBLE_EQ(budget.own_ns(), 980e6);
}

TEST(OverheadBudget, OtherFunctionsWithTheSameNumbersBeginAnew) {
  Program program(0.05);
  program.functions[7] = {50e6, 5};
  program.run(1 * kSecond);
  ASSERT_TRUE(program.is_off(7));
  program.budget().forget(5, 10);
  EXPECT_TRUE(program.budget().history().empty());
  EXPECT_TRUE(program.budget().functions_off().empty());
}

TEST(OverheadBudget, AChildBeginsWithWhatItsParentHadOff) {
  Program parent(0.05);
  parent.functions[1] = {50e6, 5};
  parent.run(1 * kSecond);
  OverheadBudget child({.share = 0.05, .call_cost_ns = 20});
  child.look({});
  child.inherit(parent.budget().to_inherit());
  EXPECT_EQ(child.functions_off(), std::vector<std::uint32_t>{1});
  ASSERT_EQ(child.history().size(), 1);
  EXPECT_TRUE(child.history()[0].is_off);
}

}  // namespace
}  // namespace calltap::budget
