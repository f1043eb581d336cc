// calltap attach and calltap detach: the runtime into a process that runs, and out of its way again.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <memory>

#include "cli/commands.h"
#include "cli/control_client.h"
#include "cli/live_session.h"
#include "cli/option_values.h"
#include "cli/record_target.h"
#include "cli/row_filter.h"
#include "cli/site_rows.h"
#include "cli/text_check.h"

namespace calltap::cli {
namespace {

std::string count_words(std::size_t count, const char* one) {
  return fmt::format("{} {}{}", count, one, count == 1 ? "" : "s");
}

double milliseconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

struct AttachOptions {
  RecordOptions record;
  bool flight = false;
};

int attach(const AttachOptions& options) {
  const auto pid = static_cast<pid_t>(options.record.pid);
  make_filter(options.record.functions, options.record.excluded);  // reports syntax errors
  if (options.flight) check_matches(pid, options.record);
  const auto stopped = bring_runtime(pid);
  std::size_t functions = 0;
  std::size_t modules = 0;
  for (const SourceModule& module : modules_of_process(pid).modules) {
    std::vector<SiteRow> rows;
    append_sites(module, rows);
    functions += rows.size();
    modules += rows.empty() ? 0 : 1;
  }
  fmt::print("{} process {}: {} in {} can be traced{}\n", stopped ? "attached to" : "already attached to",
             pid, count_words(functions, "function"), count_words(modules, "module"),
             stopped ? fmt::format("; one thread was stopped for {:.1f} ms", milliseconds(*stopped)) : "");
  if (!options.flight) return 0;
  LiveSession(options.record, pid).start_unattended();
  fmt::print("process {} keeps its newest events; calltap snapshot {} writes them down\n", pid, pid);
  return 0;
}

int detach(pid_t pid) {
  ControlClient(pid).ask(buffer::Request::kDetach);
  const TextCheck check = check_text(pid);
  if (!check.differences.empty()) {
    return fail(fmt::format("detached from process {}, but its code differs from the files in {}; calltap "
                            "verify {} shows where",
                            pid, count_words(check.differences.size(), "place"), pid)
                    .c_str());
  }
  fmt::print("detached from process {}: its code is as in the files; the runtime stays loaded, inert\n", pid);
  return 0;
}

}  // namespace

void add_attach(CLI::App& app, int& status) {
  const auto options = std::make_shared<AttachOptions>();
  RecordOptions& record = options->record;
  record.buffers.on_full = buffer::OnFull::kFlight;
  CLI::App* command = app.add_subcommand("attach", "Bring the runtime into a process that runs");
  add_pid(*command, "pid", record.pid, "the process")->required();
  CLI::Option* flight = command->add_flag(
      "--flight", options->flight,
      "flight recorder: the process keeps its newest events in memory, for calltap snapshot");
  add_patterns(*command, "-F,--function", record.functions, "with --flight: only functions that match")
      ->needs(flight);
  add_patterns(*command, "-N,--notrace", record.excluded, "with --flight: no function that matches")
      ->needs(flight);
  add_arguments(*command, record.arguments)->needs(flight);
  add_triggers(*command, record.triggers);
  add_size(*command, "--buffer", record.buffers.bytes_per_thread,
           {trace::kLeastBytesPerThread, record.buffers.bytes_in_total}, "with --flight: memory per thread")
      ->default_str(size_words(record.buffers.bytes_per_thread))
      ->needs(flight);
  command->callback([options, &status] {
    if (!options->flight && !options->record.triggers.empty())
      throw CLI::ValidationError("--trigger and --while are for --flight");
    try {
      status = attach(*options);
    } catch (const CLI::ParseError&) {
      throw;
    } catch (const std::exception& error) {
      status = fail(error.what());
    }
  });
}

void add_detach(CLI::App& app, int& status) {
  const auto pid = std::make_shared<std::uint64_t>(0);
  CLI::App* command = app.add_subcommand("detach", "End all tracing of a process and restore its code");
  add_pid(*command, "pid", *pid, "the process")->required();
  command->callback([pid, &status] {
    try {
      status = detach(static_cast<pid_t>(*pid));
    } catch (const std::exception& error) {
      status = fail(error.what());
    }
  });
}

}  // namespace calltap::cli
