#include <CLI/CLI.hpp>

#include <unistd.h>
#include <cstdio>

#include "cli/commands.h"

namespace calltap::cli {

int fail(const char* message) {
  const bool colour = ::isatty(STDERR_FILENO) != 0;
  std::fprintf(stderr, "%scalltap:%s %s\n", colour ? "\033[1;31m" : "", colour ? "\033[0m" : "", message);
  return 1;
}

}  // namespace calltap::cli

int main(int argc, char** argv) {
  CLI::App app("calltap: trace every call of a program built with -fpatchable-function-entry");
  app.name("calltap");
  app.set_version_flag("--version", CALLTAP_VERSION);
  app.require_subcommand(1);
  int status = 0;
  // One line a command: calltap::cli::add_NAME(app, status);
  calltap::cli::add_list(app, status);
  calltap::cli::add_record(app, status);
  calltap::cli::add_report(app, status);
  calltap::cli::add_replay(app, status);
  calltap::cli::add_graph(app, status);
  calltap::cli::add_info(app, status);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    constexpr int kUsage = 2;
    return app.exit(error) == 0 ? 0 : kUsage;  // 0: --help, --version
  }
  return status;
}
