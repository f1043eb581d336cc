// calltap ps: processes that carry the runtime or could be traced.
#include <fmt/format.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/control_client.h"
#include "cli/module_sources.h"
#include "site/sites.h"
#include "trace/printable.h"

namespace calltap::cli {
namespace {

namespace fs = std::filesystem;

struct Row {
  pid_t pid = 0;
  std::string user;
  std::string runtime;  // "attached", "loaded" or ""
  std::size_t functions = 0;
  std::string command;
};

std::string user_of(uid_t uid) {
  const passwd* entry = ::getpwuid(uid);
  return entry != nullptr ? entry->pw_name : std::to_string(uid);
}

std::string command_line(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/cmdline", pid), std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  std::replace(text.begin(), text.end(), '\0', ' ');
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

/// Reads each file once, however many processes have it.
class SiteCounts {
 public:
  std::size_t of(const SourceModule& module) {
    const auto key = std::make_pair(module.path, hex(module.file.build_id()));
    const auto [at, is_new] = counts_.try_emplace(key, 0);
    if (is_new) {
      const auto sites = site::discover(module.file);
      at->second = sites ? sites->size() : 0;
    }
    return at->second;
  }

 private:
  std::map<std::pair<std::string, std::string>, std::size_t> counts_;
};

/// Nothing of a process that has neither sites nor the runtime, or that is not ours to look at.
std::optional<Row> look_at(pid_t pid, SiteCounts& counts) {
  struct stat status = {};
  if (::stat(fmt::format("/proc/{}", pid).c_str(), &status) != 0) return std::nullopt;
  Row row;
  row.pid = pid;
  try {
    for (const SourceModule& module : modules_of_process(pid).modules) {
      row.functions += counts.of(module);
      const bool is_runtime = module.name.starts_with("libcalltap.so") || module.name == "memfd:calltap";
      if (is_runtime) row.runtime = "loaded";
    }
  } catch (const SourceError&) {
    return std::nullopt;  // a kernel thread, another user's, or just gone
  }
  if (find_control_thread(pid) != 0) row.runtime = "attached";
  if (row.functions == 0 && row.runtime.empty()) return std::nullopt;
  row.user = user_of(status.st_uid);
  row.command = command_line(pid);
  return row;
}

std::vector<Row> find_rows() {
  std::vector<Row> rows;
  SiteCounts counts;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const auto pid = static_cast<pid_t>(std::stol(name));
    if (pid == ::getpid()) continue;
    if (auto row = look_at(pid, counts)) rows.push_back(std::move(*row));
  }
  std::sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.pid < b.pid; });
  return rows;
}

void print_text(const std::vector<Row>& rows) {
  fmt::print("{:>7}  {:<10} {:<9} {:>9}  COMMAND\n", "PID", "USER", "RUNTIME", "FUNCTIONS");
  for (const Row& row : rows) {
    fmt::print("{:>7}  {:<10} {:<9} {:>9}  {}\n", row.pid, row.user, row.runtime.empty() ? "-" : row.runtime,
               row.functions, trace::printable(row.command));
  }
}

void print_json(const std::vector<Row>& rows) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Row& row : rows) {
    list.push_back(
        {{"pid", row.pid},
         {"user", row.user},
         {"runtime", row.runtime.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(row.runtime)},
         {"functions", row.functions},
         {"command", row.command}});
  }
  fmt::print("{}\n", list.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

}  // namespace

void add_ps(CLI::App& app, int& status) {
  const auto json = std::make_shared<bool>(false);
  CLI::App* command =
      app.add_subcommand("ps", "Show the processes that carry the runtime, or have functions to trace");
  command->add_flag("--json", *json, "print a JSON array");
  command->callback([json, &status] {
    try {
      const std::vector<Row> rows = find_rows();
      (*json ? print_json : print_text)(rows);
      status = 0;
    } catch (const std::exception& error) {
      status = fail(error.what());
    }
  });
}

}  // namespace calltap::cli
