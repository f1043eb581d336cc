// calltap status: what the runtime in a process is doing.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/control_client.h"
#include "cli/module_sources.h"
#include "cli/option_values.h"

namespace calltap::cli {
namespace {

using Json = nlohmann::ordered_json;

/// Lines with tabs as objects with these keys; what looks like a number is one.
Json rows_of(const std::vector<std::string>& lines, std::initializer_list<const char*> keys) {
  Json rows = Json::array();
  for (const std::string& line : lines) {
    const std::vector<std::string> fields = fields_of(line);
    Json row;
    std::size_t at = 0;
    for (const char* key : keys) {
      const std::string& field = at < fields.size() ? fields[at] : std::string();
      constexpr std::size_t kMostDigits = 19;
      const bool is_number = !field.empty() && field.size() <= kMostDigits &&
                             field.find_first_not_of("0123456789") == std::string::npos;
      row[key] = is_number ? Json(std::stoull(field)) : Json(field);
      ++at;
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

Json clients_of(const ProcessStatus& status) {
  return rows_of(status.all("client"), {"name", "kind", "state", "functions", "hits", "missed"});
}

Json modules_of(const ProcessStatus& status) {
  return rows_of(status.all("module"), {"path", "sites", "prepared", "on"});
}

/// 0 where it is none, or too large.
std::uint64_t number(const std::string& text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? value : 0;
}

void print_json(pid_t pid, const ProcessStatus& status, const std::string& functions) {
  Json object = {{"pid", pid},
                 {"runtime", status.get("version")},
                 {"recording", status.get("recording")},
                 {"switch", status.get("switch")}};
  if (!status.get("on_full").empty()) {
    object["buffers"] = {{"on_full", status.get("on_full")},
                         {"bytes", number(status.get("buffer_bytes"))},
                         {"threads", number(status.get("threads"))},
                         {"discarded", number(status.get("discarded"))},
                         {"tool_gone", status.get("tool_gone") == "1"},
                         {"saved", status.get("saved") == "1"}};
  }
  object["ops"] = clients_of(status);
  object["modules"] = modules_of(status);
  if (!functions.empty()) object["functions"] = functions;
  fmt::print("{}\n", object.dump(2, ' ', false, Json::error_handler_t::replace));
}

void print_text(pid_t pid, const ProcessStatus& status, const std::string& functions) {
  fmt::print("process {}: runtime {}, recording {}{}\n", pid, status.get("version"), status.get("recording"),
             status.get("switch") == "off" ? ", global switch off" : "");
  if (!status.get("on_full").empty()) {
    fmt::print("buffers: {} MiB, {} when full; {} threads write, {} events discarded{}\n",
               number(status.get("buffer_bytes")) >> 20, status.get("on_full"), status.get("threads"),
               status.get("discarded"), status.get("tool_gone") == "1" ? "; the recording tool is gone" : "");
    if (status.get("saved") == "1")
      fmt::print("a trigger has set a snapshot aside; calltap snapshot gets it\n");
  }
  const Json clients = clients_of(status);
  if (!clients.empty()) {
    fmt::print("\n{:<20} {:<9} {:<9} {:>10} {:>14} {:>10}\n", "OPS", "KIND", "STATE", "FUNCTIONS", "HITS",
               "MISSED");
  }
  for (const Json& c : clients) {
    // The recorder's calls are events, which nobody counts twice.
    const bool counts = c["name"] != "recorder";
    fmt::print("{:<20} {:<9} {:<9} {:>10} {:>14} {:>10}\n", c["name"].get<std::string>(),
               c["kind"].get<std::string>(), c["state"].get<std::string>(), c["functions"].dump(),
               counts ? c["hits"].dump() : "-", counts ? c["missed"].dump() : "-");
  }
  const Json modules = modules_of(status);
  if (!modules.empty()) fmt::print("\n{:>10} {:>10} {:>10}  MODULE\n", "FUNCTIONS", "PREPARED", "HOOKED");
  for (const Json& m : modules) {
    fmt::print("{:>10} {:>10} {:>10}  {}\n", m["sites"].dump(), m["prepared"].dump(), m["on"].dump(),
               m["path"].get<std::string>());
  }
  if (!functions.empty()) fmt::print("\n{}", functions);
}

}  // namespace

void add_status(CLI::App& app, int& status) {
  struct Options {
    std::uint64_t pid = 0;
    bool json = false;
    bool functions = false;
  };
  const auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("status", "Show what the runtime in a process is doing");
  add_pid(*command, "pid", options->pid, "the process")->required();
  command->add_flag("--functions", options->functions, "also every hooked function and by whom");
  command->add_flag("--json", options->json, "print one JSON object");
  command->callback([options, &status] {
    try {
      const auto pid = static_cast<pid_t>(options->pid);
      ControlClient control(pid);
      const ProcessStatus answer(control.ask(buffer::Request::kStatus));
      const std::string functions =
          options->functions ? control.ask(buffer::Request::kFunctions) : std::string();
      (options->json ? print_json : print_text)(pid, answer, functions);
      status = 0;
    } catch (const std::exception& error) {
      status = fail(error.what());
    }
  });
}

}  // namespace calltap::cli
