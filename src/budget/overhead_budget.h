// Which functions to record so that recording costs a given share of what the program needs by itself.
//
//   looks ──> rates of calls ──> cost of each function ──> off: those that cost most for what they tell
//     │                                                    on trial: those that have been off for longest
//     └─────> cost so far ─────> debt ──────────────────>  on again: those that have calmed
//
// All of it is arithmetic: whoever uses it looks at the process every few milliseconds, says what was seen,
// and carries the decisions out. Time is taken from the looks.
//
// Costs and rates are per nanosecond of *work*: CPU time of the program itself, without what recording took.
// The budget is for the whole run: what was spent too much is saved afterwards, and what was saved may be
// spent, both within limits. A function that is off is turned on for a trial now and then, for a share of the
// budget; that tells how often it is called now, and so how many calls were missed, and whether it has calmed
// and can stay on.
//
// What a function tells: a call that takes long says more than a call that is over before the clock can be
// read twice, so of functions that cost the same the one with the shorter calls is turned off first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace calltap::budget {

struct Settings {
  double share = 0.05;  // of the program's own CPU time
  double call_cost_ns = 25;
  std::size_t most_off = 16'000;  // functions, as many as can be asked for
};

struct FunctionCalls {
  std::uint32_t function = 0;
  std::uint64_t calls = 0;     // that began
  std::uint64_t ended = 0;     // calls that `total_ns` is of
  std::uint64_t total_ns = 0;  // from entry to exit
};

/// What a look at the process found. Times are since some beginning, never less than at the last look.
struct Look {
  std::uint64_t time_ns = 0;
  std::uint64_t cpu_ns = 0;                // of all its threads
  std::uint64_t upkeep_ns = 0;             // of that, for changing what is recorded and the like
  std::uint64_t unseen_calls = 0;          // since the last look: they cost, but nobody knows whose they were
  std::span<const FunctionCalls> calls{};  // since the last look
};

struct Change {
  std::vector<std::uint32_t> off;
  std::vector<std::uint32_t> on;  // also those on trial
  [[nodiscard]] bool empty() const { return off.empty() && on.empty(); }
};

/// A function that is off from the beginning.
struct InheritedFunction {
  std::uint32_t function = 0;
  double rate = 0;  // calls a nanosecond of work
};

/// Of a function that has been off.
struct OffFunction {
  std::uint32_t function = 0;
  bool is_off = false;  // now; on trial counts as off
  std::uint32_t times_off = 0;
  double missed_calls = 0;  // an estimate
};

class OverheadBudget {
 public:
  explicit OverheadBudget(const Settings& settings) : settings_(settings) {}

  void look(const Look& look);

  /// What is to change now. Must be followed by made() or refused() before the next decision; looks go on
  /// meanwhile.
  [[nodiscard]] Change decide();
  void made();
  void refused();
  [[nodiscard]] bool is_waiting() const { return !pending_.empty(); }
  /// When to look again: soon at the beginning, during trials and while much is spent.
  [[nodiscard]] std::uint64_t next_look_ns() const;

  /// Other functions have these numbers now, and they are recorded.
  void forget(std::uint32_t first, std::uint32_t count);

  /// In a forked child, before its first decision.
  void inherit(std::span<const InheritedFunction> off);
  /// For a child that is forked now: all that are off, or about to be, or on trial.
  [[nodiscard]] std::vector<InheritedFunction> to_inherit() const;

  /// All that are off, ascending: those on trial are not among them.
  [[nodiscard]] std::vector<std::uint32_t> functions_off() const;
  /// All that have ever been off, ascending, up to the last look.
  [[nodiscard]] std::vector<OffFunction> history() const;

  /// So far: CPU time that recording took, and the program by itself.
  [[nodiscard]] double spent_ns() const { return spent_; }
  [[nodiscard]] double own_ns() const { return own_ > 0 ? own_ : 0; }
  /// What is being spent with the functions that are on, of a nanosecond of work.
  [[nodiscard]] double rate() const { return rate_; }

 private:
  enum class State : std::uint8_t { kOn, kOff, kTrial };
  struct Function {
    State state = State::kOn;
    bool is_active = false;  // it is in active_
    std::uint32_t times_off = 0;
    // While it is on, older calls counting less and less.
    double calls = 0;
    double work = 0;  // in which these were made
    double ended = 0;
    double total = 0;
    // While it is off.
    double rate = 0;   // calls a ns of work, as last seen
    double since = 0;  // work
    double missed = 0;
    double trial_ended = 0;  // time

    [[nodiscard]] double rate_now() const { return work > 0 ? calls / work : 0; }
  };

  Function& at(std::uint32_t function);
  void take_calls(const Look& look, double work);
  [[nodiscard]] double price(const Function& f) const { return f.rate_now() * settings_.call_cost_ns; }
  [[nodiscard]] double score(const Function& f) const;
  [[nodiscard]] double aim() const;
  [[nodiscard]] double allowance();
  [[nodiscard]] double change_cost() const;
  void end_trials(double allowed, Change& change);
  void shed(double allowed, Change& change);
  void start_trials(Change& change);
  void turn_off(std::uint32_t function);
  void turn_on(std::uint32_t function);

  Settings settings_;
  std::vector<Function> functions_;    // by number
  std::vector<std::uint32_t> active_;  // on or on trial, and called lately
  std::vector<std::uint32_t> off_;
  std::vector<std::uint32_t> trials_;
  Change pending_;
  bool begun_ = false;
  double time_ = 0;
  double start_ = 0;
  double cpu_ = 0;
  double upkeep_ = 0;
  double work_ = 0;  // sum of what is estimated for each look
  double spent_ = 0;
  double own_ = 0;   // exact, but late: the system counts CPU time in steps
  double base_ = 0;  // of the debt: what was forgiven, or lapsed
  double rate_ = 0;
  double busy_cpu_ = 0;  // for CPU time a ns of time
  double busy_time_ = 0;
  double allowed_ = 0;  // to be spent, at the last decision
  double trial_credit_ = 0;
  double trial_work_ = 2e6;    // that one trial takes, until its functions are off again
  double trial_began_at_ = 0;  // work
  double trial_begun_ = 0;     // time
  double changes_ = 0;         // made
  double upkeep_before_ = 0;   // the first one
};

}  // namespace calltap::budget
