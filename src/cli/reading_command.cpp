#include "cli/reading_command.h"

#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "cli/commands.h"
#include "trace/trace_error.h"

namespace calltap::cli {
namespace {

/// A recording has a file for every thread, and `replay` has those of all running threads open.
void allow_many_files() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

void add_directory(CLI::App& command, std::string& directory) {
  directory = "calltap.data";
  command.add_option("DIR", directory, "The recording, or one process directory of it")
      ->capture_default_str();
}

int run_reading(const std::string& directory,
                const std::function<export_::Reading(const trace::Session&, export_::Output&)>& show) {
  std::signal(SIGPIPE, SIG_IGN);
  allow_many_files();
  try {
    const trace::Session session = trace::open_session(directory);
    export_::Output out(STDOUT_FILENO, wants_colour(STDOUT_FILENO));
    const export_::Reading reading = show(session, out);
    out.flush();
    for (const std::string& notice : notices(session, reading)) {
      std::fprintf(stderr, "calltap: %s\n", notice.c_str());
    }
    if (out.error() != 0)
      return fail(fmt::format("cannot write the output: {}", std::strerror(out.error())).c_str());
    // What could be read has been shown; a script must not take it for all there was.
    if (reading.damage.any() || !session.problems.empty() || !session.closed()) return 1;
  } catch (const trace::TraceError& error) {
    return fail(error.what());
  }
  return 0;
}

}  // namespace calltap::cli
