#include "cli/budget_keeper.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "cli/control_client.h"
#include "cli/module_sources.h"

namespace calltap::cli {
namespace {

constexpr std::uint64_t kSoonNs = 1'000'000;
constexpr double kCallsMeasured = 1000;
// A clock that has been watched for so long is exact enough for the cost of calls.
constexpr std::uint64_t kCalibrateNs = 2'000'000;
// A child that has done less by itself gets no control thread only to find out what has calmed.
constexpr double kWorthAttachingNs = 200e6;

std::uint64_t steady_ns() {
  return static_cast<std::uint64_t>(
      std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count());
}

std::string words_of(const std::vector<std::uint32_t>& functions) {
  return {reinterpret_cast<const char*>(functions.data()), functions.size() * sizeof(std::uint32_t)};
}

std::uint64_t number_of(const ProcessStatus& reply, const char* key) {
  return std::strtoull(reply.get(key).c_str(), nullptr, 10);
}

}  // namespace

BudgetKeeper::BudgetKeeper(pid_t pid, double share, const trace::TickSource& clock)
    : pid_(pid), share_(share), clock_(clock), cpu_(pid), start_ns_(steady_ns()), start_cpu_ns_(cpu_.now()) {
  control_thread_ = find_control_thread(pid);
  if (control_thread_ != 0) control_start_ns_ = thread_cpu_ns(pid, control_thread_);
}

BudgetKeeper::~BudgetKeeper() = default;

void BudgetKeeper::ready(std::uint64_t call_cost, std::uint64_t cpu_ns) {
  const std::lock_guard lock(mutex_);
  given_.call_cost = call_cost;
  // The control thread's own time is known in any case.
  setup_ns_ = control_thread_ == 0 ? cpu_ns : 0;
  is_ready_ = true;
}

BudgetKeeper::Heritage BudgetKeeper::heritage() {
  const std::lock_guard lock(mutex_);
  return {given_.call_cost, off_now_};
}

void BudgetKeeper::inherit(Heritage heritage) {
  const std::lock_guard lock(mutex_);
  given_ = std::move(heritage);
  is_child_ = true;
  is_ready_ = true;
}

void BudgetKeeper::replace(std::uint32_t first, std::uint32_t count) {
  const std::lock_guard lock(mutex_);
  replaced_.emplace_back(first, count);
}

/// False: the process is not ready.
bool BudgetKeeper::begin() {
  const std::lock_guard lock(mutex_);
  if (!is_ready_) return false;
  ns_per_tick_ =
      1e9 / static_cast<double>(std::max<std::uint64_t>(clock_.describe(kCalibrateNs).frequency_hz, 1));
  budget::Settings settings;
  settings.share = share_;
  settings.call_cost_ns = static_cast<double>(given_.call_cost) * ns_per_tick_ / kCallsMeasured;
  budget_.emplace(settings);
  budget_->look({.time_ns = start_ns_, .cpu_ns = start_cpu_ns_});
  budget_->inherit(given_.off);
  if (given_.call_cost == 0) {
    problem_ = "what a call costs could not be measured";
    gave_up_ = true;
  }
  return true;
}

std::uint64_t BudgetKeeper::look(const trace::SharedMemory& memory) {
  const std::uint64_t now = steady_ns();
  if (now < next_look_ns_) return next_look_ns_ - now;
  next_look_ns_ = now + kSoonNs;
  if (!budget_ && !begin()) return kSoonNs;
  counter_.look(memory);
  account(&memory);
  take_answer();
  if (!stopped_.load() && !gave_up_ && !asked_.valid()) change();
  const std::uint64_t wait = budget_->next_look_ns();
  next_look_ns_ = now + wait;
  return wait;
}

/// `memory`: null when the process has ended.
void BudgetKeeper::account(const trace::SharedMemory* memory) {
  std::uint64_t setup_ns = 0;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [first, count] : replaced_) budget_->forget(first, count);
    replaced_.clear();
    setup_ns = setup_ns_;
  }
  if (control_thread_ != 0) {
    const std::uint64_t ns = thread_cpu_ns(pid_, control_thread_);
    if (ns > control_start_ns_) control_ns_ = std::max(control_ns_, ns - control_start_ns_);
  }
  calls_.clear();
  for (const trace::CountedCalls& c : counter_.collect()) {
    calls_.push_back({c.function, c.calls, c.ended,
                      static_cast<std::uint64_t>(static_cast<double>(c.ticks) * ns_per_tick_)});
  }
  budget::Look look;
  look.time_ns = steady_ns();
  look.cpu_ns = cpu_.now();
  look.upkeep_ns = setup_ns + control_ns_;
  look.unseen_calls = counter_.calls_of_nothing() - std::exchange(of_nothing_, counter_.calls_of_nothing());
  look.calls = calls_;
  if (memory != nullptr) {
    std::uint64_t discarded = memory->slotless_discarded();
    for (std::uint32_t slot = 0; slot < memory->slots_used(); ++slot) {
      for (const std::uint64_t events : memory->slot(slot).discarded) discarded += events;
    }
    // Slots of ended threads are used again, and begin at 0.
    if (discarded > discarded_) look.unseen_calls += (discarded - discarded_) / 2;
    discarded_ = discarded;
  }
  budget_->look(look);
}

/// In a thread of its own: the process may take its time.
BudgetKeeper::Answer BudgetKeeper::ask(pid_t pid, bool may_attach, const std::string& words) {
  try {
    if (may_attach && find_control_thread(pid) == 0) bring_runtime(pid);
    const ProcessStatus reply(ControlClient(pid).ask(buffer::Request::kLeaveOut, words));
    return {Made{number_of(reply, "begun"), number_of(reply, "done")}, {}};
  } catch (const std::exception& error) {
    return {std::nullopt, error.what()};
  }
}

void BudgetKeeper::change() {
  // is_child_ has not changed since the process was ready.
  const bool is_worth_attaching = budget_->own_ns() >= kWorthAttachingNs || budget_->rate() > 2 * share_;
  if (is_child_ && control_thread_ == 0 && !is_worth_attaching) return;
  asked_change_ = budget_->decide();
  if (asked_change_.empty()) return;
  asked_ = std::async(std::launch::async, ask, pid_, is_child_, words_of(budget_->functions_off()));
}

void BudgetKeeper::take_answer() {
  if (!asked_.valid() || asked_.wait_for(std::chrono::seconds(0)) != std::future_status::ready) return;
  const Answer answer = asked_.get();
  if (control_thread_ == 0) control_thread_ = find_control_thread(pid_);
  if (answer.made) {
    failures_ = 0;
    note(*answer.made);
    budget_->made();
    const std::lock_guard lock(mutex_);
    off_now_ = budget_->to_inherit();
    return;
  }
  budget_->refused();
  constexpr int kEnough = 3;
  gave_up_ = ++failures_ == kEnough;
  failed_ns_ = steady_ns();
  if (!stopped_.load()) problem_ = answer.problem;
}

void BudgetKeeper::note(const Made& made) {
  for (const std::uint32_t function : asked_change_.off) times_off_[function].emplace_back(made.begun, 0);
  for (const std::uint32_t function : asked_change_.on) {
    Times& times = times_off_[function];
    if (!times.empty() && times.back().second == 0) times.back().second = made.done;
  }
}

/// Why the budget was not kept.
std::string BudgetKeeper::problem() const {
  if (gave_up_ && !problem_.empty()) return problem_;
  constexpr double kInsignificant = 1.1;
  const double spent = budget_->spent_ns();
  if (spent <= share_ * kInsignificant * budget_->own_ns()) return {};
  const double upkeep = static_cast<double>(setup_ns_ + control_ns_);
  if (upkeep > spent / 2) {
    return fmt::format("getting ready to record and turning functions off and on took {:.1f} ms",
                       upkeep / 1e6);
  }
  return "the program ended before it could be made up for";
}

void BudgetKeeper::finish(trace::ProcessDescription& description) {
  result_.share = share_;
  if (!budget_ && !begin()) {
    result_.problem = "the process was not ready before it ended";
    description.budget = result_;
    return;
  }
  if (asked_.valid()) asked_.wait();
  account(nullptr);
  take_answer();
  // A process that is about to end answers no more.
  constexpr std::uint64_t kEndingNs = 500'000'000;
  if (failures_ != 0 && steady_ns() - failed_ns_ < kEndingNs) gave_up_ = false;
  result_.call_cost_ns = static_cast<double>(given_.call_cost) * ns_per_tick_ / kCallsMeasured;
  result_.own_cpu_ns = static_cast<std::uint64_t>(budget_->own_ns());
  result_.overhead_ns = static_cast<std::uint64_t>(budget_->spent_ns());
  result_.problem = problem();
  for (const budget::OffFunction& off : budget_->history()) {
    trace::TurnedOffFunction function;
    function.function = off.function;
    function.times = off.times_off;
    function.at_end = off.is_off;
    function.seen_calls = counter_.calls_of(off.function);
    function.missed_calls = static_cast<std::uint64_t>(off.missed_calls);
    Times& times = times_off_[off.function];
    if (times.size() > trace::kMostTimesOff) times.resize(trace::kMostTimesOff);
    function.off = std::move(times);
    result_.functions.push_back(std::move(function));
  }
  description.budget = result_;
}

}  // namespace calltap::cli
