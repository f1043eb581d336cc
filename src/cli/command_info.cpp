#include <CLI/CLI.hpp>
#include <memory>

#include "cli/commands.h"
#include "cli/option_values.h"
#include "cli/reading_command.h"
#include "export/info.h"

namespace calltap::cli {
namespace {

struct Settings {
  std::string directory;
  std::string format = "text";
};

}  // namespace

void add_info(CLI::App& app, int& status) {
  CLI::App& command =
      *app.add_subcommand("info", "Show what a recording is, how it ended and what is missing in it");
  const auto settings = std::make_shared<Settings>();
  add_directory(command, settings->directory);
  add_choice(command, "--format", settings->format, {"text", "json"}, "text or json");
  command.callback([settings, &status] {
    status = run_reading(settings->directory, [&](const trace::Session& session, export_::Output& out) {
      const export_::Info info = export_::make_info(session);
      if (settings->format == "json") {
        export_::print_info_json(out, session, info);
      } else {
        export_::print_info_text(out, session, info);
      }
      return info.reading;
    });
  });
}

}  // namespace calltap::cli
