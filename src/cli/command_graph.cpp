#include <CLI/CLI.hpp>
#include <memory>

#include "cli/commands.h"
#include "cli/reading_command.h"
#include "export/graph.h"

namespace calltap::cli {
namespace {

struct Settings {
  std::string directory;
  std::string format = "text";
  export_::GraphOptions options;
  std::vector<std::string> functions;
};

int run(Settings& settings) {
  settings.options.selects = function_predicate(settings.functions, {});
  return run_reading(settings.directory, [&](const trace::Session& session, export_::Output& out) {
    require_function(session, settings.options.selects);
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
  command
      .add_option("-F,--function", settings->functions,
                  "Show the trees below functions that match this pattern, their callers and their callees")
      ->allow_extra_args(false);
  command.add_option("--depth", settings->options.max_depth, "Show at most this many levels (0: all)");
  add_min_time(command, settings->options.min_time_ns, "Show only nodes whose total is at least this long");
  command.add_option("--format", settings->format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  command.callback([settings, &status] { status = run(*settings); });
}

}  // namespace calltap::cli
