// calltap stat: a live table of functions, like top.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "cli/commands.h"
#include "cli/control_client.h"
#include "cli/live_session.h"
#include "cli/option_values.h"
#include "cli/record_target.h"
#include "cli/row_filter.h"
#include "export/live_stat.h"
#include "export/live_trace.h"

namespace calltap::cli {
namespace {

constexpr std::uint64_t kPatienceNs = 2'000'000'000;

struct StatOptions {
  RecordOptions record;
  std::uint64_t interval_ns = 1'000'000'000;
  std::uint64_t limit = 0;
  bool json = false;
};

std::string name_of_process(pid_t pid) {
  std::string name;
  if (std::FILE* file = std::fopen(fmt::format("/proc/{}/comm", pid).c_str(), "re"); file != nullptr) {
    char text[64] = {};
    if (std::fgets(text, sizeof text, file) != nullptr) name = text;
    std::fclose(file);
  }
  if (!name.empty() && name.back() == '\n') name.pop_back();
  return name;
}

int watch(const StatOptions& options) {
  const auto pid = static_cast<pid_t>(options.record.pid);
  make_filter(options.record.functions, options.record.excluded);  // reports syntax errors
  check_matches(pid, options.record);
  const Attachment attachment(pid);
  ::signal(SIGPIPE, SIG_IGN);
  LiveSession session(options.record, pid);
  const trace::TickClock clock(session.clock());
  export_::LiveOutput out(STDOUT_FILENO, wants_colour(STDOUT_FILENO));
  export_::LiveStatOptions view_options;
  view_options.interval_ns = options.interval_ns;
  view_options.limit = options.limit;
  view_options.title = fmt::format("{} ({})", name_of_process(pid), pid);
  if (options.json) {
    view_options.format = export_::StatFormat::kJson;
  } else if (::isatty(STDOUT_FILENO) != 0) {
    view_options.format = export_::StatFormat::kScreen;
  }
  export_::LiveStat view(out, session.names(), clock, view_options);
  session.run(view, [&out] {
    out.flush();
    return out.closed();
  });
  view.finish(kPatienceNs);
  fmt::print(stderr, "calltap: {}\n", export_::live_summary(session.counts(), 0));
  if (session.process_ended()) fail(fmt::format("process {} has ended", pid).c_str());
  if (session.process_left()) fail(describe_left(pid).c_str());
  return out.error() != 0 ? fail(fmt::format("cannot write: {}", std::strerror(out.error())).c_str()) : 0;
}

}  // namespace

void add_stat(CLI::App& app, int& status) {
  const auto options = std::make_shared<StatOptions>();
  RecordOptions& record = options->record;
  record.buffers.on_full = buffer::OnFull::kDiscard;
  CLI::App* command =
      app.add_subcommand("stat", "Show a live table of a process's functions: calls and times, until ctrl-C");
  add_pid(*command, "pid", record.pid, "the process")->required();
  add_patterns(*command, "-F,--function", record.functions, "only functions that match (may be given often)");
  add_patterns(*command, "-N,--notrace", record.excluded, "no function that matches (may be given often)");
  add_triggers(*command, record.triggers);
  add_duration(*command, "--interval", options->interval_ns, "how often the table is made")
      ->default_str("1s");
  add_duration(*command, "--duration", record.duration_ns, "stop after that long");
  constexpr std::uint64_t kMostFunctions = 1'000'000'000;
  add_number(*command, "--limit", options->limit, {0, kMostFunctions},
             "show at most this many functions (0: all, or as many as the screen holds)");
  command->add_flag("--json", options->json, "one JSON object an interval");
  command->callback([options, &status] {
    try {
      status = watch(*options);
    } catch (const CLI::ParseError&) {
      throw;
    } catch (const std::exception& error) {
      status = fail(error.what());
    }
  });
}

}  // namespace calltap::cli
