#include <CLI/CLI.hpp>

#include <unistd.h>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "cli/commands.h"

namespace calltap::cli {

bool wants_colour(int fd) {
  const char* refused = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  if (refused != nullptr && refused[0] != '\0') return false;
  return ::isatty(fd) != 0 && terminal != nullptr && std::string_view(terminal) != "dumb";
}

int fail(const char* message) {
  const bool colour = wants_colour(STDERR_FILENO);
  std::fprintf(stderr, "%scalltap:%s %s\n", colour ? "\033[1;31m" : "", colour ? "\033[0m" : "", message);
  return 1;
}

}  // namespace calltap::cli

namespace {
constexpr const char* kHint = "Run calltap --help, or calltap COMMAND --help, for how to use it.";

/// An option that stands alone, without a command.
bool is_general(std::string_view word) { return word == "--help" || word == "-h" || word == "--version"; }

/// CLI11's "--limit: 1 required NUMBER missing" and "The following arguments were not expected: -- --bogus".
std::string plain_words(std::string message) {
  constexpr std::string_view kExtra = " not expected: ";
  if (const std::size_t at = message.find(kExtra); at != std::string::npos) {
    std::string_view words = std::string_view(message).substr(at + kExtra.size());
    if (words.starts_with("-- ")) words.remove_prefix(3);
    return std::string(words) + ": not expected here";
  }
  constexpr std::string_view kMissing = ": 1 required ";
  if (const std::size_t at = message.find(kMissing); at != std::string::npos) {
    message.replace(at, kMissing.size(), ": the value is missing: ");
    message.erase(message.rfind(" missing"));
  }
  return message;
}

}  // namespace

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
  calltap::cli::add_run(app, status);
  calltap::cli::add_ps(app, status);
  calltap::cli::add_attach(app, status);
  calltap::cli::add_detach(app, status);
  calltap::cli::add_status(app, status);
  calltap::cli::add_set(app, status);
  calltap::cli::add_trace(app, status);
  calltap::cli::add_stat(app, status);
  calltap::cli::add_snapshot(app, status);
  calltap::cli::add_verify(app, status);
  constexpr int kUsage = 2;
  const auto is_named = [&](const CLI::App* command) { return command->check_name(argv[1]); };
  if (argc < 2 || (!is_general(argv[1]) && app.get_subcommands(is_named).empty())) {
    const std::string what = argc < 2 ? "a command is missing" : std::string(argv[1]) + ": no such command";
    std::string names;
    for (const CLI::App* command : app.get_subcommands({})) {
      names += (names.empty() ? "" : ", ") + command->get_name();
    }
    calltap::cli::fail((what + "; there are " + names + '\n' + kHint).c_str());
    return kUsage;
  }
  app.failure_message([](const CLI::App*, const CLI::Error& error) {
    calltap::cli::fail((plain_words(error.what()) + '\n' + kHint).c_str());
    return std::string();
  });
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsage;  // 0: --help, --version
  }
  return status;
}
