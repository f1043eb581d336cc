#include "budget/overhead_budget.h"

#include <algorithm>
#include <cmath>

namespace calltap::budget {
namespace {

constexpr double kMs = 1e6;
constexpr std::uint32_t kMostFunctions = 1U << 22;  // numbers come from the target: bounds the memory

// How fast rates forget, in work, and how much the program works, in time.
constexpr double kRateNs = 20 * kMs;
constexpr double kBusyNs = 50 * kMs;
constexpr double kBusyAtFirstNs = 5 * kMs;  // until it is known: one thread that does not pause

// Of the budget that is aimed at: what recording does to a program beside its own time is not all known.
constexpr double kAim = 0.9;
// A function that was on once has other bytes among its NOPs afterwards, and its page of code is the
// process's own: for SQLite, with 150 million calls a second, that is between nothing and 1 %.
constexpr double kChangedCode = 0.005;
constexpr double kMostForCode = 0.25;

// Within how much work a debt is paid. Meanwhile a part of the budget remains: functions that cost little are
// not to go for what others have spent.
constexpr double kPayNs = 250 * kMs;
constexpr double kLeast = 0.1;
constexpr double kMost = 1.1;
// What may be saved, and owed: the budget of so much work.
constexpr double kMostSavedNs = 1'000 * kMs;
constexpr double kMostOwedNs = 20'000 * kMs;

// Of the budget for trials, and of what the functions that are on leave of it.
constexpr double kTrialShare = 0.1;
constexpr double kTrialRest = 0.5;
constexpr double kTrialNs = 1 * kMs;
constexpr double kLeastChangeNs = 0.05 * kMs;
constexpr std::size_t kMostOnTrial = 64;
// Functions are turned off until so much of the allowance is used, and stay on after a trial up to less.
constexpr double kFull = 0.9;
constexpr double kRoom = 0.8;

}  // namespace

OverheadBudget::Function& OverheadBudget::at(std::uint32_t function) {
  if (function >= functions_.size()) functions_.resize(std::size_t{function} + 1);
  return functions_[function];
}

void OverheadBudget::look(const Look& look) {
  const auto time = static_cast<double>(look.time_ns);
  const auto cpu = static_cast<double>(look.cpu_ns);
  const auto upkeep = static_cast<double>(look.upkeep_ns);
  if (!begun_) {
    begun_ = true;
    time_ = start_ = time;
    busy_cpu_ = busy_time_ = kBusyAtFirstNs;
    cpu_ = cpu - upkeep;  // what went before is not the budget's, but getting ready to record is
  }
  double calls = static_cast<double>(look.unseen_calls);
  for (const FunctionCalls& f : look.calls) calls += static_cast<double>(f.calls);
  const double passed = time - time_;
  const double spent = calls * settings_.call_cost_ns + upkeep - upkeep_;
  const double own = cpu - cpu_ - spent;
  const double kept = std::exp(-passed / kBusyNs);
  busy_cpu_ = busy_cpu_ * kept + (cpu - cpu_) - (upkeep - upkeep_);
  busy_time_ = busy_time_ * kept + passed;
  // CPU time comes late, and in steps; calls do not.
  constexpr double kLeastOfIt = 0.05;
  const double busy = passed * busy_cpu_ / std::max(busy_time_, 1.0);
  const double work = std::max(busy - calls * settings_.call_cost_ns, busy * kLeastOfIt);
  spent_ += spent;
  own_ += own;
  work_ += work;
  time_ = time;
  cpu_ = cpu;
  upkeep_ = upkeep;
  trial_credit_ += std::max(allowed_ * kTrialShare, (allowed_ - rate_) * kTrialRest) * work;
  trial_credit_ = std::max(trial_credit_, -settings_.share * kTrialShare * kMostSavedNs);
  take_calls(look, work);
}

void OverheadBudget::take_calls(const Look& look, double work) {
  const double kept = std::exp(-work / kRateNs);
  for (const std::uint32_t function : active_) {
    Function& f = functions_[function];
    f.calls *= kept;
    f.ended *= kept;
    f.total *= kept;
    f.work = f.work * kept + work;
  }
  for (const FunctionCalls& seen : look.calls) {
    if (seen.function >= kMostFunctions) continue;
    Function& f = at(seen.function);
    if (!f.is_active) {
      if (f.state == State::kOff) {
        // The last ones before it was turned off.
        trial_credit_ -= static_cast<double>(seen.calls) * settings_.call_cost_ns;
        continue;
      }
      f.is_active = true;
      active_.push_back(seen.function);
      // It was on all the time, and not called.
      f.work = f.state == State::kOn ? std::min(kRateNs, work_) : f.work + work;
      f.work = std::max(f.work, work);
    }
    if (f.state != State::kOn) trial_credit_ -= static_cast<double>(seen.calls) * settings_.call_cost_ns;
    f.calls += static_cast<double>(seen.calls);
    f.ended += static_cast<double>(seen.ended);
    f.total += static_cast<double>(seen.total_ns);
  }
  rate_ = 0;
  std::erase_if(active_, [this](std::uint32_t function) {
    constexpr double kForgotten = 0.01;  // calls
    Function& f = functions_[function];
    if (f.state == State::kOff || (f.state == State::kOn && f.calls < kForgotten)) {
      f.is_active = false;
      return true;
    }
    if (f.state == State::kOn) rate_ += price(f);
    return false;
  });
}

double OverheadBudget::score(const Function& f) const {
  const double duration = f.ended > 0 ? f.total / f.ended : 1e9;
  return price(f) * settings_.call_cost_ns / (settings_.call_cost_ns + duration);
}

double OverheadBudget::aim() const {
  return settings_.share * kAim - std::min(kChangedCode, settings_.share * kMostForCode);
}

/// What may be spent now, of a nanosecond of work.
double OverheadBudget::allowance() {
  const double share = aim();
  double debt = spent_ - share * own_ns() - base_;
  const double most = share * kMostOwedNs;
  const double least = -share * kMostSavedNs;
  if (debt > most || debt < least) {
    const double bounded = std::clamp(debt, least, most);
    base_ += debt - bounded;
    debt = bounded;
  }
  return share * std::clamp(1 - debt / (share * kPayNs), kLeast, kMost);
}

Change OverheadBudget::decide() {
  if (!pending_.empty() || !begun_) return {};
  Change change;
  const double allowed = allowed_ = allowance();
  end_trials(allowed, change);
  shed(allowed, change);
  constexpr double kUnpaid = 1.01 * kLeast;
  if (change.empty() && trials_.empty() && allowed > aim() * kUnpaid) start_trials(change);
  pending_ = change;
  if (changes_ == 0) upkeep_before_ = upkeep_;
  return change;
}

void OverheadBudget::end_trials(double allowed, Change& change) {
  if (trials_.empty() || time_ - trial_begun_ < kTrialNs) return;
  std::sort(trials_.begin(), trials_.end(), [this](std::uint32_t a, std::uint32_t b) {
    const double left = price(functions_[a]);
    const double right = price(functions_[b]);
    return left != right ? left < right : a < b;
  });
  double rate = rate_;
  // They are on for a while yet.
  trial_work_ += ((work_ - trial_began_at_) * 2 - trial_work_) * 0.25;
  for (const std::uint32_t function : trials_) {
    Function& f = functions_[function];
    // Half of the time since it was seen last as then, half as now.
    f.missed += (f.rate + f.rate_now()) / 2 * std::max(work_ - f.work - f.since, 0.0);
    f.rate = f.rate_now();
    f.since = work_;
    f.trial_ended = time_;
    rate += price(f);
    if (rate <= kRoom * allowed) {
      f.state = State::kOn;
      std::erase(off_, function);
      rate_ = rate;
    } else {
      f.state = State::kOff;
      change.off.push_back(function);
    }
  }
  trials_.clear();
}

void OverheadBudget::shed(double allowed, Change& change) {
  // Within so much work it must be worth the change.
  constexpr double kWorthNs = 100 * kMs;
  if (rate_ <= allowed || (rate_ - kFull * allowed) * kWorthNs < change_cost()) return;
  struct Candidate {
    double score;
    std::uint32_t function;
  };
  std::vector<Candidate> candidates;
  for (const std::uint32_t function : active_) {
    const Function& f = functions_[function];
    if (f.state == State::kOn && f.calls > 0) candidates.push_back({score(f), function});
  }
  std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
    return a.score != b.score ? a.score > b.score : a.function < b.function;
  });
  for (const Candidate& candidate : candidates) {
    if (rate_ <= kFull * allowed || off_.size() >= settings_.most_off) break;
    Function& f = functions_[candidate.function];
    rate_ -= price(f);
    f.rate = f.rate_now();
    f.since = work_;
    f.trial_ended = time_;
    f.state = State::kOff;
    off_.push_back(candidate.function);
    change.off.push_back(candidate.function);
  }
}

/// On average. Of the last change it may not be known yet.
double OverheadBudget::change_cost() const {
  return std::max(kLeastChangeNs, (upkeep_ - upkeep_before_) / std::max(changes_, 1.0));
}

/// Those whose last trial was longest ago, as many as can be paid for.
void OverheadBudget::start_trials(Change& change) {
  if (off_.empty()) {
    trial_credit_ = std::min(trial_credit_, 0.0);
    return;
  }
  std::vector<std::uint32_t> waiting = off_;
  std::sort(waiting.begin(), waiting.end(), [this](std::uint32_t a, std::uint32_t b) {
    const double left = functions_[a].trial_ended;
    const double right = functions_[b].trial_ended;
    return left != right ? left < right : a < b;
  });
  double cost = 2 * change_cost();
  for (const std::uint32_t function : waiting) {
    const Function& f = functions_[function];
    cost += f.rate * settings_.call_cost_ns * trial_work_;
    if (cost > trial_credit_ || change.on.size() >= kMostOnTrial) break;
    change.on.push_back(function);
  }
}

void OverheadBudget::made() {
  // Trials begin now.
  if (!pending_.on.empty()) {
    trial_begun_ = time_;
    trial_began_at_ = work_;
    trials_ = pending_.on;
    for (const std::uint32_t function : trials_) {
      Function& f = functions_[function];
      f.state = State::kTrial;
      f.calls = f.ended = f.total = f.work = 0;
      if (!f.is_active) active_.push_back(function);
      f.is_active = true;
    }
    trial_credit_ -= 2 * change_cost();
  }
  for (const std::uint32_t function : pending_.off) ++functions_[function].times_off;
  ++changes_;
  pending_ = {};
}

void OverheadBudget::refused() {
  for (const std::uint32_t function : pending_.off) {
    functions_[function].state = State::kOn;
    std::erase(off_, function);
  }
  pending_ = {};
}

std::uint64_t OverheadBudget::next_look_ns() const {
  constexpr std::uint64_t kSoon = 1'000'000;
  constexpr std::uint64_t kLater = 8'000'000;
  constexpr double kBeginningNs = 100 * kMs;
  const bool soon =
      is_waiting() || !trials_.empty() || time_ - start_ < kBeginningNs || rate_ > 2 * settings_.share;
  return soon ? kSoon : kLater;
}

void OverheadBudget::forget(std::uint32_t first, std::uint32_t count) {
  const auto is_one = [first, count](std::uint32_t function) { return function - first < count; };
  for (std::vector<std::uint32_t>* list : {&active_, &off_, &trials_, &pending_.off, &pending_.on})
    std::erase_if(*list, is_one);
  for (std::size_t f = first; f < functions_.size() && f - first < count; ++f) functions_[f] = {};
}

void OverheadBudget::inherit(std::span<const InheritedFunction> off) {
  for (const InheritedFunction& inherited : off) {
    if (inherited.function >= kMostFunctions) continue;
    Function& f = at(inherited.function);
    f.state = State::kOff;
    f.rate = inherited.rate;
    f.since = work_;
    f.trial_ended = time_;
    f.times_off = 1;
    off_.push_back(inherited.function);
  }
}

std::vector<InheritedFunction> OverheadBudget::to_inherit() const {
  std::vector<InheritedFunction> all;
  for (const std::uint32_t function : off_) all.push_back({function, functions_[function].rate});
  return all;
}

std::vector<std::uint32_t> OverheadBudget::functions_off() const {
  std::vector<std::uint32_t> functions;
  for (const std::uint32_t function : off_) {
    if (functions_[function].state == State::kOff &&
        std::find(pending_.on.begin(), pending_.on.end(), function) == pending_.on.end()) {
      functions.push_back(function);
    }
  }
  std::sort(functions.begin(), functions.end());
  return functions;
}

std::vector<OffFunction> OverheadBudget::history() const {
  std::vector<OffFunction> all;
  for (std::size_t i = 0; i < functions_.size(); ++i) {
    const Function& f = functions_[i];
    if (f.times_off == 0) continue;
    const bool is_off = f.state != State::kOn;
    // A trial has not been evaluated.
    const double until = f.state == State::kTrial ? work_ - f.work : work_;
    const double missed = f.missed + (is_off ? f.rate * std::max(until - f.since, 0.0) : 0);
    all.push_back({static_cast<std::uint32_t>(i), is_off, f.times_off, missed});
  }
  return all;
}

}  // namespace calltap::budget
