// Keeps what recording costs one process within a budget: looks at what is recorded, has
// budget::OverheadBudget decide which functions are worth it, and asks the process to leave the others out.
//
// The process's control thread does that, on request. A forked child has none; it gets one when the first
// function is to be turned off, as `calltap attach` does it.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "budget/overhead_budget.h"
#include "cli/process_cpu_time.h"
#include "trace/call_counter.h"
#include "trace/process_recording.h"
#include "trace/tick_source.h"

namespace calltap::cli {

class BudgetKeeper : public trace::RecordingWatcher {
 public:
  /// `share`: of the CPU time that the program needs by itself. When the process has said Hello: what it
  /// needs from then on to get ready counts.
  BudgetKeeper(pid_t pid, double share, const trace::TickSource& clock);
  ~BudgetKeeper() override;
  BudgetKeeper(const BudgetKeeper&) = delete;
  BudgetKeeper& operator=(const BudgetKeeper&) = delete;

  // From any one thread.

  /// The process is ready: what a thousand recorded calls cost there, in ticks (0: it cannot say), and the
  /// CPU time that it took to get ready in one of its own threads.
  void ready(std::uint64_t call_cost, std::uint64_t cpu_ns);
  /// What a child gets from the process that it was forked from: what calls cost, and functions that are off.
  struct Heritage {
    std::uint64_t call_cost = 0;
    std::vector<budget::InheritedFunction> off;
  };
  [[nodiscard]] Heritage heritage();
  void inherit(Heritage heritage);
  /// Other functions have these numbers now, and they are recorded.
  void replace(std::uint32_t first, std::uint32_t count);
  /// Nothing is changed any more: the recording is about to end.
  void stop() { stopped_.store(true); }

  /// After finish().
  [[nodiscard]] const trace::BudgetDescription& result() const { return result_; }

  // The recording's thread.
  void packet(const trace::ReadyPacket& packet) override { counter_.take(packet); }
  std::uint64_t look(const trace::SharedMemory& memory) override;
  void finish(trace::ProcessDescription& description) override;

 private:
  /// When a change was made: ticks.
  struct Made {
    std::uint64_t begun = 0;
    std::uint64_t done = 0;
  };
  struct Answer {
    std::optional<Made> made;
    std::string problem;
  };
  using Times = std::vector<std::pair<std::uint64_t, std::uint64_t>>;

  static Answer ask(pid_t pid, bool may_attach, const std::string& words);
  bool begin();
  void account(const trace::SharedMemory* memory);
  void take_answer();
  void note(const Made& made);
  void change();
  [[nodiscard]] std::string problem() const;

  pid_t pid_;
  double share_;
  double ns_per_tick_ = 0;
  const trace::TickSource& clock_;
  trace::CallCounter counter_;
  std::optional<budget::OverheadBudget> budget_;
  ProcessCpuTime cpu_;
  std::uint64_t start_ns_ = 0;
  std::uint64_t start_cpu_ns_ = 0;
  std::uint64_t next_look_ns_ = 0;
  pid_t control_thread_ = 0;
  std::uint64_t control_start_ns_ = 0;  // CPU time
  std::uint64_t control_ns_ = 0;
  std::uint64_t discarded_ = 0;   // events
  std::uint64_t of_nothing_ = 0;  // calls
  std::vector<budget::FunctionCalls> calls_;
  std::future<Answer> asked_;
  budget::Change asked_change_;
  std::map<std::uint32_t, Times> times_off_;
  int failures_ = 0;  // in a row
  std::uint64_t failed_ns_ = 0;
  bool gave_up_ = false;
  std::string problem_;
  trace::BudgetDescription result_;
  std::atomic<bool> stopped_{false};

  std::mutex mutex_;  // the rest
  bool is_ready_ = false;
  bool is_child_ = false;  // forked: it may have no control thread
  Heritage given_;
  std::uint64_t setup_ns_ = 0;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> replaced_;
  std::vector<budget::InheritedFunction> off_now_;
};

}  // namespace calltap::cli
