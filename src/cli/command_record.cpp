// calltap record: run a program and write down every call.
#include <fmt/format.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>

#include "cli/commands.h"
#include "cli/control_client.h"
#include "cli/module_sources.h"
#include "cli/option_values.h"
#include "cli/record_session.h"
#include "cli/record_target.h"
#include "cli/recording_directory.h"
#include "cli/row_filter.h"

namespace calltap::cli {
namespace {

namespace fs = std::filesystem;

constexpr double kMostPercent = 1000;
constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 50;

/// A recording of many threads has many files.
void raise_descriptor_limit() {
  rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
}

void report_budget(const BudgetTotals& totals, const RecordOptions& options) {
  const double percent =
      totals.own_cpu_ns == 0 ? 0 : 100 * totals.overhead_ns / static_cast<double>(totals.own_cpu_ns);
  fmt::print(
      stderr,
      "calltap: budget {:g}%: recording cost about {:.1f}% of {:.2f} s of CPU time; {} function{} turned "
      "off, {} of them still at the end\n",
      options.budget * 100, percent, static_cast<double>(totals.own_cpu_ns) / 1e9, totals.turned_off,
      totals.turned_off == 1 ? " was" : "s were", totals.off_at_end);
  if (totals.problems == 0) return;
  const std::string others =
      totals.problems == 1 ? "" : fmt::format(" (and {} more processes)", totals.problems - 1);
  fail(fmt::format("the budget was not kept: {}{}", totals.problem, others).c_str());
}

void report_end(const RecordSession& session, const RecordOptions& options) {
  if (!session.recorded_anything()) {
    if (!session.refused_any()) fail("nothing was recorded: the runtime did not start in the program");
    return;
  }
  if (session.patched_none()) {
    fail("nothing was recorded: no function could be patched; calltap list says of each why");
    return;
  }
  if (options.budget != 0) report_budget(session.budget(), options);
  const trace::RecordingTotals& totals = session.totals();
  if (::isatty(STDERR_FILENO) == 0) return;
  fmt::print(stderr, "calltap: {:.1f} M events, {:.1f} MB in {}; see calltap report{}\n",
             static_cast<double>(totals.events.load()) / 1e6, static_cast<double>(totals.bytes.load()) / 1e6,
             options.directory, options.directory == "calltap.data" ? "" : " " + options.directory);
}

bool is_incomplete(const RecordSession& session) {
  return session.totals().write_error.load() != 0 || session.refused_any() || session.patched_none();
}

/// Before anything is made on disk for a recording that will be refused.
void refuse_second_recording(pid_t pid) {
  const ProcessStatus status(ControlClient(pid).ask(buffer::Request::kStatus));
  if (status.get("recording") != "off" && status.get("tool_gone") != "1") {
    const char* by = status.get("unattended") == "1"
                         ? "in flight mode (calltap attach --flight); calltap detach ends that"
                         : "being recorded by another tool";
    throw SourceError(fmt::format("process {}: it is {}", pid, by));
  }
}

int record_attached(const RecordOptions& options) {
  const auto pid = static_cast<pid_t>(options.pid);
  make_filter(options.functions, options.excluded);  // reports syntax errors
  check_matches(pid, options);
  const Attachment attachment(pid);
  refuse_second_recording(pid);
  const fs::path directory = fs::absolute(options.directory);
  trace::SessionDescription description = begin_recording(options, directory);
  RecordSession session(options, directory, pid);
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);
  raise_descriptor_limit();
  session.run_attached();
  description.closed = true;
  static_cast<void>(trace::write_session(directory, description));
  report_end(session, options);
  return is_incomplete(session) || !session.recorded_anything() ? 1 : 0;
}

int record(const RecordOptions& options) {
  const std::string path = find_command(options.command.at(0));
  check_target(path, options);
  const std::string runtime = find_runtime();
  const fs::path directory = fs::absolute(options.directory);
  trace::SessionDescription description = begin_recording(options, directory);
  RecordSession session(options, directory);
  const pid_t child = start_target(path, options, runtime, session.name());
  // The program was started with these as they were. A write that fails is reported and counted.
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);
  raise_descriptor_limit();
  const int status = session.run(child);
  description.closed = true;
  // What cannot be written any more was reported; the recording then stays as one that was never closed.
  static_cast<void>(trace::write_session(directory, description));
  report_end(session, options);
  constexpr int kSignalled = 128;
  if (session.left_target_running()) return kSignalled + SIGINT;
  if (WIFSIGNALED(status)) return kSignalled + WTERMSIG(status);
  // The program's own status, but success is not claimed for a recording that could not be written.
  return is_incomplete(session) && WEXITSTATUS(status) == 0 ? 1 : WEXITSTATUS(status);
}

buffer::OnFull mode_of(const std::string& word) {
  for (const auto mode : {buffer::OnFull::kWait, buffer::OnFull::kDiscard}) {
    if (word == trace::name(mode)) return mode;
  }
  return buffer::OnFull::kFlight;
}

void check_words(const RecordOptions& options) {
  if (options.pid != 0 && !options.command.empty()) {
    throw CLI::ValidationError(
        fmt::format("{}: a process or a program to start, not both", options.command[0]));
  }
  if (options.budget != 0 && options.buffers.on_full == buffer::OnFull::kFlight) {
    throw CLI::ValidationError(
        "--budget: calls are counted on their way to the disk, where --on-full flight sends none before the "
        "end");
  }
  if (options.budget != 0 && !options.triggers.empty()) {
    throw CLI::ValidationError(
        "--budget: calls are counted by their events, and --trigger and --while let hooked calls make none");
  }
  if (options.budget != 0 && options.arguments) {
    throw CLI::ValidationError("--budget: a call with --args costs many times what is reckoned for a call");
  }
  if (options.pid == 0 && options.duration_ns != 0) {
    throw CLI::ValidationError("--duration is for a process that runs already: calltap record -p PID");
  }
  if (options.pid == 0 && (options.command.empty() || options.command[0].empty())) {
    throw CLI::ValidationError(
        "a PROGRAM to record is missing: calltap record [OPTIONS] -- PROGRAM [ARGS], "
        "or calltap record -p PID");
  }
  if (options.directory.empty()) throw CLI::ValidationError("-o: the name of a directory is missing");
  if (options.directory[0] == '-') {
    throw CLI::ValidationError(
        fmt::format("-o: \"{0}\" is an option; a directory of that name is ./{0}", options.directory));
  }
}

}  // namespace

void add_record(CLI::App& app, int& status) {
  auto options = std::make_shared<RecordOptions>();
  CLI::App* command = app.add_subcommand(
      "record", "Run a program, or take one that runs, and record every call of its functions");
  command->add_option("-o,--output", options->directory, "where to; an older recording there becomes DIR.old")
      ->type_name("DIR")
      ->capture_default_str();
  add_patterns(*command, "-F,--function", options->functions,
               "only functions that match (may be given often)");
  add_patterns(*command, "-N,--notrace", options->excluded, "no function that matches (may be given often)");
  add_arguments(*command, options->arguments);
  add_triggers(*command, options->triggers);
  const auto mode = std::make_shared<std::string>();
  add_choice(*command, "--on-full", *mode, {"wait", "discard", "flight"},
             "when events come faster than they can be written: wait, discard new ones (counted), or flight: "
             "keep only the newest")
      ->default_str("wait, with -p discard");
  add_size(*command, "--buffer", options->buffers.bytes_per_thread,
           {trace::kLeastBytesPerThread, options->buffers.bytes_in_total}, "memory for events per thread")
      ->default_str(size_words(options->buffers.bytes_per_thread));
  add_size(*command, "--max-size", options->max_bytes, {event::kPacketBytes, kMostBytes},
           "stop recording when the trace is this large");
  add_percent(
      *command, "--budget", options->budget, kMostPercent,
      "what recording may cost, of the CPU time that the program needs by itself: functions that cost "
      "most for what they tell are turned off meanwhile, which the recording says");
  command->add_flag_callback(
      "--no-children", [options] { options->follows_children = false; },
      "record the process alone, not what it forks or starts");
  add_pid(*command, "-p,--pid", options->pid, "record a process that runs already, and what it forks");
  add_duration(*command, "--duration", options->duration_ns,
               "with -p: stop after that long, and leave the process");
  command->add_flag("--force", options->force, "run the program even if it has nothing to record");
  command->add_option("command", options->command, "the program and its arguments")
      ->type_name("PROGRAM [ARGS...]");
  command->prefix_command(false);
  command->positionals_at_end(true);
  command->callback([options, mode, &status] {
    // A process that somebody else has started is not to wait for us.
    const buffer::OnFull by_default = options->pid == 0 ? buffer::OnFull::kWait : buffer::OnFull::kDiscard;
    options->buffers.on_full = mode->empty() ? by_default : mode_of(*mode);
    check_words(*options);
    try {
      ::sigprocmask(SIG_SETMASK, nullptr, &options->signals);
      status = options->pid != 0 ? record_attached(*options) : record(*options);
    } catch (const CLI::ParseError&) {
      throw;
    } catch (const std::exception& error) {
      status = fail(error.what());
    }
  });
}

}  // namespace calltap::cli
