#include <CLI/CLI.hpp>
#include <map>
#include <memory>

#include "cli/commands.h"
#include "cli/function_selection.h"
#include "cli/option_values.h"
#include "cli/reading_command.h"
#include "export/report.h"

namespace calltap::cli {
namespace {

using export_::ReportSort;

const std::map<std::string, ReportSort> kSorts = {
    {"total", ReportSort::kTotal}, {"self", ReportSort::kSelf}, {"calls", ReportSort::kCalls},
    {"avg", ReportSort::kAverage}, {"max", ReportSort::kMax},   {"min", ReportSort::kMin},
    {"name", ReportSort::kName},
};

struct Settings {
  std::string directory;
  std::string sort = "total";
  std::string format = "text";
  std::uint64_t limit = 0;
  export_::ReportOptions options;
  std::vector<std::string> functions;
  std::vector<std::string> notrace;
};

int run(Settings& settings) {
  settings.options.sort = kSorts.at(settings.sort);
  settings.options.limit = settings.limit;
  return run_reading(settings.directory, [&](const trace::Session& session, export_::Output& out) {
    settings.options.selects = select_functions(session, settings.functions, settings.notrace);
    export_::Report report = export_::make_report(session, settings.options);
    if (settings.format == "json") {
      export_::print_report_json(out, session, report);
    } else if (settings.format == "csv") {
      export_::print_report_csv(out, report);
    } else {
      export_::print_report_text(out, report);
    }
    return report.reading;
  });
}

}  // namespace

void add_report(CLI::App& app, int& status) {
  CLI::App& command =
      *app.add_subcommand("report", "Show how often each function was called and where the time went");
  const auto settings = std::make_shared<Settings>();
  add_directory(command, settings->directory);
  add_choice(command, "--sort", settings->sort, {"total", "self", "calls", "avg", "max", "min", "name"},
             "What the order is by");
  constexpr std::uint64_t kMostFunctions = 1'000'000'000;
  add_number(command, "--limit", settings->limit, {0, kMostFunctions},
             "Show at most this many functions (0: all)");
  add_choice(command, "--format", settings->format, {"text", "json", "csv"}, "text, json or csv");
  command.add_flag("--threads", settings->options.per_thread, "One table for each thread");
  add_patterns(command, "-F,--function", settings->functions, "Show only functions that match this pattern");
  add_patterns(command, "-N,--notrace", settings->notrace, "Do not show functions that match this pattern");
  command.callback([settings, &status] { status = run(*settings); });
}

}  // namespace calltap::cli
