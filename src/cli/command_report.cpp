#include <CLI/CLI.hpp>
#include <map>
#include <memory>

#include "cli/commands.h"
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
  export_::ReportOptions options;
  std::vector<std::string> functions;
  std::vector<std::string> notrace;
};

int run(Settings& settings) {
  settings.options.sort = kSorts.at(settings.sort);
  settings.options.selects = function_predicate(settings.functions, settings.notrace);
  return run_reading(settings.directory, [&](const trace::Session& session, export_::Output& out) {
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
  command.add_option("--sort", settings->sort, "Order: total, self, calls, avg, max, min or name")
      ->check(CLI::IsMember(kSorts))
      ->capture_default_str();
  command.add_option("--limit", settings->options.limit, "Show at most this many functions (0: all)");
  command.add_option("--format", settings->format, "text, json or csv")
      ->check(CLI::IsMember({"text", "json", "csv"}))
      ->capture_default_str();
  command.add_flag("--threads", settings->options.per_thread, "One table for each thread");
  command.add_option("-F,--function", settings->functions, "Show only functions that match this pattern")
      ->allow_extra_args(false);
  command.add_option("-N,--notrace", settings->notrace, "Do not show functions that match this pattern")
      ->allow_extra_args(false);
  command.callback([settings, &status] { status = run(*settings); });
}

}  // namespace calltap::cli
