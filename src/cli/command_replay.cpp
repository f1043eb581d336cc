#include <CLI/CLI.hpp>
#include <memory>

#include "cli/commands.h"
#include "cli/reading_command.h"
#include "export/replay.h"
#include "trace/trace_error.h"

namespace calltap::cli {
namespace {

struct Settings {
  std::string directory;
  std::uint32_t tid = 0;
  export_::ReplayOptions options;
  std::vector<std::string> functions;
};

void require_thread(const trace::Session& session, std::uint32_t tid) {
  for (const trace::ProcessTrace& process : session.processes) {
    for (const trace::StreamFile& stream : process.streams) {
      if (stream.tid == tid) return;
    }
  }
  throw trace::TraceError(trace::TraceError::Kind::kNoSuchThread,
                          fmt::format("the recording has no thread {}: see calltap info", tid));
}

int run(Settings& settings) {
  settings.options.selects = function_predicate(settings.functions, {});
  return run_reading(settings.directory, [&](const trace::Session& session, export_::Output& out) {
    if (settings.tid != 0) {
      require_thread(session, settings.tid);
      settings.options.tid = settings.tid;
    }
    require_function(session, settings.options.selects);
    return export_::replay(out, session, settings.options);
  });
}

}  // namespace

void add_replay(CLI::App& app, int& status) {
  CLI::App& command = *app.add_subcommand("replay", "Show every call in the order of time");
  const auto settings = std::make_shared<Settings>();
  add_directory(command, settings->directory);
  command.add_option("--tid", settings->tid, "Show this thread only")->check(CLI::PositiveNumber);
  command.add_option("--depth", settings->options.max_depth,
                     "Show at most this many levels of calls (0: all)");
  command
      .add_option("-F,--function", settings->functions,
                  "Show only functions that match this pattern, and what they call")
      ->allow_extra_args(false);
  add_min_time(command, settings->options.min_time_ns, "Show only calls that last at least this long");
  command.callback([settings, &status] { status = run(*settings); });
}

}  // namespace calltap::cli
