#include <CLI/CLI.hpp>
#include <memory>

#include "cli/commands.h"
#include "cli/function_selection.h"
#include "cli/option_values.h"
#include "cli/reading_command.h"
#include "export/graph.h"

namespace calltap::cli {
namespace {

struct Settings {
  std::string directory;
  std::string format = "text";
  std::uint64_t max_depth = 0;
  export_::GraphOptions options;
  std::vector<std::string> functions;
};

int run(Settings& settings) {
  return run_reading(settings.directory, [&](const trace::Session& session, export_::Output& out) {
    settings.options.max_depth = static_cast<std::uint32_t>(settings.max_depth);
    settings.options.selects = select_functions(session, settings.functions, {});
    export_::Graph graph = export_::make_graph(session, settings.options);
    if (settings.format == "json") {
      export_::print_graph_json(out, graph, settings.options);
    } else {
      export_::print_graph_text(out, graph, settings.options);
    }
    return graph.reading;
  });
}

}  // namespace

void add_graph(CLI::App& app, int& status) {
  CLI::App& command = *app.add_subcommand("graph", "Show the call tree, or a function's callers and callees");
  const auto settings = std::make_shared<Settings>();
  add_directory(command, settings->directory);
  add_patterns(command, "-F,--function", settings->functions,
               "Show the trees below functions that match this pattern, their callers and their callees");
  add_number(command, "--depth", settings->max_depth, {0, kMostLevels},
             "Show at most this many levels (0: all)");
  add_time(command, "--min-time", settings->options.min_time_ns,
           "Show only nodes whose total is at least this long");
  add_choice(command, "--format", settings->format, {"text", "json"}, "text or json");
  command.callback([settings, &status] { status = run(*settings); });
}

}  // namespace calltap::cli
