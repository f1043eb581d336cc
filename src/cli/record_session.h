// The tool's side of a recording: the socket that targets come to, and the processes that are being recorded.
#pragma once

#include <array>
#include <filesystem>
#include <list>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "buffer/session_protocol.h"
#include "cli/budget_keeper.h"
#include "cli/descriptor.h"
#include "cli/module_functions.h"
#include "cli/record_options.h"
#include "filter/filter.h"
#include "trace/process_recording.h"
#include "trace/tick_source.h"

namespace calltap::cli {

/// What --budget came to, of all processes together.
struct BudgetTotals {
  std::uint64_t own_cpu_ns = 0;
  double overhead_ns = 0;
  std::uint64_t turned_off = 0;
  std::uint64_t off_at_end = 0;
  std::string problem;         // of the first process that has one
  std::uint64_t problems = 0;  // processes
};

/// All members from one thread. Throws std::system_error where the system fails us.
class RecordSession {
 public:
  /// For a process that runs already, `attached` is its id.
  RecordSession(const RecordOptions& options, std::filesystem::path directory, pid_t attached = 0);

  /// Value of buffer::kSessionVariable for the target.
  [[nodiscard]] const std::string& name() const { return name_; }

  /// Serves targets until every recorded process has ended and `child` has been waited for, or until stop().
  /// Returns the child's wait status.
  int run(pid_t child);

  /// Records the attached process and what it forks until it has ended, the options' duration is over, or a
  /// signal asks to stop; those that still run go on unrecorded, with their functions as they were. Throws
  /// SourceError if the process cannot be recorded.
  void run_attached();

  [[nodiscard]] bool recorded_anything() const { return started_ != 0; }
  /// Functions were selected, and none of them could be patched.
  [[nodiscard]] bool patched_none() const { return patched_functions_ == 0 && unpatchable_functions_ != 0; }
  /// There were processes without a recording, for lack of memory for instance; each was named on standard
  /// error.
  [[nodiscard]] bool refused_any() const { return refused_any_; }
  [[nodiscard]] const trace::RecordingTotals& totals() const { return totals_; }
  /// Of the processes that have ended.
  [[nodiscard]] const BudgetTotals& budget() const { return budget_; }
  /// Recording was stopped before the program had ended.
  [[nodiscard]] bool left_target_running() const { return !child_ended_; }

 private:
  struct Process {
    Descriptor pidfd;
    std::unique_ptr<trace::ProcessRecording> recording;
    BudgetKeeper* keeper = nullptr;  // the recording's, with --budget
  };
  struct Client {
    Descriptor socket;
    std::int64_t pid = 0;
    trace::ProcessRecording* recording = nullptr;
  };

  /// Modules of a process that is gone, for children that it forked.
  struct Ended {
    std::array<std::uint8_t, 16> uuid{};
    std::vector<trace::LoadedModule> modules;
    BudgetKeeper::Heritage heritage;
  };

  void accept_client();
  /// False: the client is done with.
  bool serve(Client& client);
  bool greet(Client& client, const buffer::Hello& hello);
  void add_module(Client& client, const std::uint8_t* message, std::size_t size);
  trace::ProcessRecording* find(const std::uint8_t* uuid);
  BudgetKeeper* keeper_of(const trace::ProcessRecording* recording);
  /// A forked child begins with what its parent had.
  void inherit(trace::ProcessRecording& child, const std::uint8_t* parent_uuid);
  void add_to_budget(const Process& process);
  trace::ProcessRecording* start_process(std::int64_t pid);
  bool welcome(Client& client, bool with_filters);
  void end_process(std::list<Process>::iterator process, trace::ProcessEnd end);
  void handle_signal();
  void stop_all();
  void ask_attached_to_record();
  void show_progress();
  void poll_once();

  const RecordOptions& options_;
  std::filesystem::path directory_;
  std::string name_;
  trace::TickSource clock_;
  trace::RecordingTotals totals_;
  ModuleFunctionCache functions_;
  filter::Filter filter_;                  // of the options, which outlive it
  std::set<std::string> warned_of_names_;  // modules
  Descriptor listener_;
  Descriptor signals_;
  std::list<Client> clients_;
  std::list<Process> processes_;
  std::list<Ended> ended_;
  pid_t child_ = 0;
  pid_t attached_ = 0;
  int interrupts_ = 0;
  bool stopped_ = false;
  bool child_ended_ = false;
  int child_status_ = 0;
  std::uint64_t started_ = 0;
  std::uint64_t patched_functions_ = 0;
  std::uint64_t unpatchable_functions_ = 0;
  bool refused_any_ = false;
  BudgetTotals budget_;
  bool progress_shown_ = false;
  bool warned_limit_ = false;
  bool warned_write_ = false;
};

}  // namespace calltap::cli
