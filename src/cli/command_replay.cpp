#include <CLI/CLI.hpp>
#include <map>
#include <memory>

#include "cli/address_names.h"
#include "cli/commands.h"
#include "cli/function_selection.h"
#include "cli/option_values.h"
#include "cli/reading_command.h"
#include "export/replay.h"
#include "trace/trace_error.h"

namespace calltap::cli {
namespace {

struct Settings {
  std::string directory;
  std::uint64_t tid = 0;
  std::uint64_t max_depth = 0;
  export_::ReplayOptions options;
  std::vector<std::string> functions;
};

void require_thread(const trace::Session& session, std::uint64_t tid) {
  for (const trace::ProcessTrace& process : session.processes) {
    for (const trace::StreamFile& stream : process.streams) {
      if (stream.tid == tid) return;
    }
  }
  throw trace::TraceError(trace::TraceError::Kind::kNoSuchThread,
                          fmt::format("the recording has no thread {}: see calltap info", tid));
}

int run(Settings& settings) {
  settings.options.max_depth = static_cast<std::uint32_t>(settings.max_depth);
  return run_reading(settings.directory, [&](const trace::Session& session, export_::Output& out) {
    if (settings.tid != 0) {
      require_thread(session, settings.tid);
      settings.options.tid = static_cast<std::uint32_t>(settings.tid);
    }
    settings.options.selects = select_functions(session, settings.functions, {});
    std::map<const trace::ProcessTrace*, ModuleAddressNames> names;
    settings.options.names = [&names](const trace::ProcessTrace& process) {
      const auto [at, is_new] = names.try_emplace(&process, 0);
      if (is_new) {
        for (const trace::ModuleDescription& module : process.description.modules) at->second.add(module);
      }
      return &at->second;
    };
    return export_::replay(out, session, settings.options);
  });
}

}  // namespace

void add_replay(CLI::App& app, int& status) {
  CLI::App& command = *app.add_subcommand("replay", "Show every call in the order of time");
  const auto settings = std::make_shared<Settings>();
  add_directory(command, settings->directory);
  constexpr std::uint64_t kMostTid = std::uint64_t{1} << 22;  // PID_MAX_LIMIT of the kernel
  add_number(command, "--tid", settings->tid, {1, kMostTid}, "Show this thread only");
  add_number(command, "--depth", settings->max_depth, {0, kMostLevels},
             "Show at most this many levels of calls (0: all)");
  add_patterns(command, "-F,--function", settings->functions,
               "Show only functions that match this pattern, and what they call");
  add_time(command, "--min-time", settings->options.min_time_ns,
           "Show only calls that last at least this long");
  command.callback([settings, &status] { status = run(*settings); });
}

}  // namespace calltap::cli
