// The sub-commands of calltap. Each function adds one to the application; its callback runs the command and
// stores the process's exit status in `status`.
#pragma once

namespace CLI {
class App;
}

namespace calltap::cli {

void add_list(CLI::App& app, int& status);
void add_record(CLI::App& app, int& status);
void add_report(CLI::App& app, int& status);
void add_replay(CLI::App& app, int& status);
void add_graph(CLI::App& app, int& status);
void add_info(CLI::App& app, int& status);
void add_run(CLI::App& app, int& status);
void add_ps(CLI::App& app, int& status);
void add_attach(CLI::App& app, int& status);
void add_detach(CLI::App& app, int& status);
void add_status(CLI::App& app, int& status);
void add_set(CLI::App& app, int& status);
void add_trace(CLI::App& app, int& status);
void add_stat(CLI::App& app, int& status);
void add_snapshot(CLI::App& app, int& status);
void add_verify(CLI::App& app, int& status);

/// Are colours wanted there? On a terminal that has them, unless NO_COLOR is set.
bool wants_colour(int fd);

/// Prints "calltap: <message>" to standard error, in red where colours are wanted. Returns 1, the status for
/// a command that failed.
int fail(const char* message);

}  // namespace calltap::cli
