// A process that is watched while it runs: its events go to a view, not to files.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/address_names.h"
#include "cli/descriptor.h"
#include "cli/module_functions.h"
#include "cli/record_options.h"
#include "trace/live_reader.h"
#include "trace/tick_source.h"

namespace calltap::cli {

/// The names of a process's functions, as its modules come.
class LiveNames : public trace::LiveFunctions {
 public:
  explicit LiveNames(class LiveSession& session) : session_(session) {}
  void add(const trace::ModuleFunctions& functions, const trace::ModuleDescription& place);
  [[nodiscard]] std::uint32_t count() const override { return static_cast<std::uint32_t>(names_.size()); }
  void refresh() override;
  [[nodiscard]] std::string_view name(std::uint32_t id) const override { return names_[id - 1]; }
  [[nodiscard]] const trace::Parameters& parameters(std::uint32_t id) const override;

 private:
  LiveSession& session_;
  std::vector<std::string> names_;
  std::vector<trace::Parameters> parameters_;  // empty if nothing is known of any
};

/// All members from one thread, which then is the consumer of the process's buffers. Throws SourceError.
class LiveSession {
 public:
  /// The process has its control thread. Its clock is calibrated here, which takes some milliseconds.
  LiveSession(const RecordOptions& options, pid_t pid);
  ~LiveSession();
  LiveSession(const LiveSession&) = delete;
  LiveSession& operator=(const LiveSession&) = delete;

  [[nodiscard]] const LiveNames& names() const { return names_; }
  /// Of its modules so far.
  [[nodiscard]] ModuleAddressNames& address_names() { return address_names_; }
  [[nodiscard]] const trace::ClockDescription& clock() const { return clock_; }
  /// Delivers events until the process has ended, a signal asks to stop, the options' duration is over, or
  /// `is_done` says so, which is called after every pass. The process then goes on unrecorded.
  void run(trace::LiveSink& sink, const std::function<bool()>& is_done);

  /// Only starts the recording, in flight mode: the process keeps its newest events for calltap snapshot, and
  /// this object need not live on.
  void start_unattended();

  /// After run().
  [[nodiscard]] const trace::LiveCounts& counts() const { return reader_->counts(); }
  /// The process has ended by itself.
  [[nodiscard]] bool process_ended() const { return ended_; }
  /// It runs on without the runtime, or has been detached by somebody else.
  [[nodiscard]] bool process_left() const { return left_; }

 private:
  friend class LiveNames;
  struct Client {
    Descriptor socket;
    bool greeted = false;
  };

  void poll(int timeout_ms);
  void poll_while(std::future<std::string>& asked);
  bool serve(Client& client);
  void make_reader(trace::LiveSink& sink);
  /// True: there is more at once.
  bool pass();

  const RecordOptions& options_;
  pid_t pid_;
  std::string name_;
  Descriptor listener_;
  Descriptor signals_;
  Descriptor pidfd_;
  trace::TickSource ticks_;
  trace::ClockDescription clock_;
  trace::SharedMemory memory_;
  ModuleFunctionCache functions_;
  LiveNames names_;
  ModuleAddressNames address_names_;
  std::list<Client> clients_;
  std::optional<trace::LiveReader> reader_;
  bool welcomed_ = false;
  bool interrupted_ = false;
  bool ended_ = false;
  bool left_ = false;
};

}  // namespace calltap::cli
