// calltap attach and calltap detach: the runtime into a process that runs, and out of its way again.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <memory>

#include "cli/commands.h"
#include "cli/control_client.h"
#include "cli/option_values.h"
#include "cli/site_rows.h"
#include "cli/text_check.h"

namespace calltap::cli {
namespace {

std::string count_words(std::size_t count, const char* one) {
  return fmt::format("{} {}{}", count, one, count == 1 ? "" : "s");
}

double milliseconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

int attach(pid_t pid) {
  const auto stopped = bring_runtime(pid);
  std::size_t functions = 0;
  std::size_t modules = 0;
  for (const SourceModule& module : modules_of_process(pid).modules) {
    std::vector<SiteRow> rows;
    append_sites(module, rows);
    functions += rows.size();
    modules += rows.empty() ? 0 : 1;
  }
  fmt::print("{} process {}: {} in {} can be traced{}\n", stopped ? "attached to" : "already attached to",
             pid, count_words(functions, "function"), count_words(modules, "module"),
             stopped ? fmt::format("; one thread was stopped for {:.1f} ms", milliseconds(*stopped)) : "");
  return 0;
}

int detach(pid_t pid) {
  ControlClient(pid).ask(buffer::Request::kDetach);
  const TextCheck check = check_text(pid);
  if (!check.differences.empty()) {
    return fail(fmt::format("detached from process {}, but its code differs from the files in {}; calltap "
                            "verify {} shows where",
                            pid, count_words(check.differences.size(), "place"), pid)
                    .c_str());
  }
  fmt::print("detached from process {}: its code is as in the files; the runtime stays loaded, inert\n", pid);
  return 0;
}

/// A command that has a process id and nothing else.
void add_process_command(CLI::App& app, int& status, const char* name, const char* description,
                         int (*run)(pid_t)) {
  const auto pid = std::make_shared<std::uint64_t>(0);
  CLI::App* command = app.add_subcommand(name, description);
  add_pid(*command, "pid", *pid, "the process")->required();
  command->callback([pid, run, &status] {
    try {
      status = run(static_cast<pid_t>(*pid));
    } catch (const std::exception& error) {
      status = fail(error.what());
    }
  });
}

}  // namespace

void add_attach(CLI::App& app, int& status) {
  add_process_command(app, status, "attach", "Bring the runtime into a process that runs", attach);
}

void add_detach(CLI::App& app, int& status) {
  add_process_command(app, status, "detach", "End all tracing of a process and restore its code", detach);
}

}  // namespace calltap::cli
