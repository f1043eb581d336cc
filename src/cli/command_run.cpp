// calltap run: start a program with the runtime in it and everything off.
#include <fmt/format.h>
#include <signal.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "buffer/control_protocol.h"
#include "cli/commands.h"
#include "cli/record_target.h"

namespace calltap::cli {

void add_run(CLI::App& app, int& status) {
  const auto options = std::make_shared<RecordOptions>();
  CLI::App* command = app.add_subcommand(
      "run", "Start a program with the runtime, nothing traced yet; calltap becomes the program");
  command->add_flag("--force", options->force, "also a program that has nothing to trace");
  command->add_option("command", options->command, "the program and its arguments")
      ->type_name("PROGRAM [ARGS...]");
  command->prefix_command(false);
  command->positionals_at_end(true);
  command->callback([options, &status] {
    if (options->command.empty() || options->command[0].empty()) {
      throw CLI::ValidationError("a PROGRAM to run is missing: calltap run -- PROGRAM [ARGS]");
    }
    try {
      const std::string path = find_command(options->command[0]);
      check_target(path, *options);
      become_target(path, *options, find_runtime(), buffer::kControlVariable, "1");
    } catch (const CLI::ParseError&) {
      throw;
    } catch (const std::exception& error) {
      status = fail(error.what());
    }
  });
}

}  // namespace calltap::cli
