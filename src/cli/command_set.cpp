// calltap set: change what is recorded of a process, while it is being recorded.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "cli/commands.h"
#include "cli/control_client.h"
#include "cli/filter_text.h"
#include "cli/option_values.h"
#include "cli/record_target.h"
#include "cli/row_filter.h"

namespace calltap::cli {
namespace {

struct SetOptions {
  RecordOptions filters;
  std::uint64_t pid = 0;
  std::string on_full;
  bool on = false;
  bool off = false;
  bool all = false;

  [[nodiscard]] bool has_filters() const {
    return all || !filters.functions.empty() || !filters.excluded.empty();
  }
};

int set(const SetOptions& options) {
  const auto pid = static_cast<pid_t>(options.pid);
  make_filter(options.filters.functions, options.filters.excluded);  // reports syntax errors
  // Before the process waits for us: reading its symbols may take long.
  if (options.has_filters()) check_matches(pid, options.filters);
  ControlClient control(pid);
  // Off first, on last: in between nothing is recorded that neither filter wants.
  if (options.off) control.ask(buffer::Request::kPause);
  if (!options.on_full.empty()) control.ask(buffer::Request::kMode, options.on_full);
  if (options.has_filters()) control.ask(buffer::Request::kFilter, filter_text(options.filters));
  if (options.on) control.ask(buffer::Request::kResume);
  return 0;
}

}  // namespace

void add_set(CLI::App& app, int& status) {
  const auto options = std::make_shared<SetOptions>();
  CLI::App* command = app.add_subcommand(
      "set", "Change what is recorded of a process, while calltap record, trace or stat is at it");
  add_pid(*command, "pid", options->pid, "the process")->required();
  add_patterns(*command, "-F,--function", options->filters.functions,
               "from now on only functions that match (may be given often)");
  add_patterns(*command, "-N,--notrace", options->filters.excluded,
               "no function that matches (may be given often)");
  command->add_flag("--all", options->all, "all functions again")->excludes("--function");
  CLI::Option* on = command->add_flag("--on", options->on, "go on after --off");
  command->add_flag("--off", options->off, "no events until --on; the recording goes on")->excludes(on);
  add_choice(*command, "--on-full", options->on_full, {"wait", "discard"},
             "when events come faster than they can be taken: wait, or discard new ones (counted)");
  command->callback([options, &status] {
    if (!options->has_filters() && !options->on && !options->off && options->on_full.empty()) {
      throw CLI::ValidationError("nothing to set; there are -F, -N, --all, --on, --off and --on-full");
    }
    try {
      status = set(*options);
    } catch (const CLI::ParseError&) {
      throw;
    } catch (const std::exception& error) {
      status = fail(error.what());
    }
  });
}

}  // namespace calltap::cli
