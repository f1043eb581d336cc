// calltap verify: is a process's code as in the files that it was loaded from?
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/option_values.h"
#include "cli/text_check.h"

namespace calltap::cli {
namespace {

std::string hex_bytes(std::span<const std::uint8_t> bytes) {
  constexpr std::size_t kMost = 24;
  std::string text;
  for (const std::uint8_t byte : bytes.first(std::min(bytes.size(), kMost))) {
    text += fmt::format("{}{:02x}", text.empty() ? "" : " ", byte);
  }
  return bytes.size() > kMost ? text + " ..." : text;
}

void print_text(pid_t pid, const TextCheck& check) {
  for (const TextDifference& d : check.differences) {
    fmt::print("{:016x}  {}  {}\n  file    {}\n  memory  {}\n", d.address, d.module,
               d.function.empty() ? "(not a function's entry)" : d.function, hex_bytes(d.in_file),
               hex_bytes(d.in_memory));
  }
  fmt::print(
      "process {}: {} bytes of code in {} modules compared, {}\n", pid, check.bytes, check.modules,
      check.differences.empty() ? "no difference" : fmt::format("{} differences", check.differences.size()));
}

void print_json(pid_t pid, const TextCheck& check) {
  nlohmann::ordered_json differences = nlohmann::ordered_json::array();
  for (const TextDifference& d : check.differences) {
    differences.push_back({{"address", fmt::format("{:#x}", d.address)},
                           {"module", d.module},
                           {"function", d.function},
                           {"file", hex(d.in_file)},
                           {"memory", hex(d.in_memory)}});
  }
  const nlohmann::ordered_json object = {{"pid", pid},
                                         {"bytes", check.bytes},
                                         {"modules", check.modules},
                                         {"problems", check.problems},
                                         {"differences", differences}};
  fmt::print("{}\n", object.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

int verify(pid_t pid, bool json) {
  const TextCheck check = check_text(pid);
  if (json) {
    print_json(pid, check);
  } else {
    print_text(pid, check);
    for (const std::string& problem : check.problems) fail(fmt::format("left out: {}", problem).c_str());
  }
  return check.differences.empty() ? 0 : 1;
}

}  // namespace

void add_verify(CLI::App& app, int& status) {
  struct Options {
    std::uint64_t pid = 0;
    bool json = false;
  };
  const auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("verify", "Compare a process's code with its files; status 1 if it differs");
  add_pid(*command, "pid", options->pid, "the process")->required();
  command->add_flag("--json", options->json, "print one JSON object");
  command->callback([options, &status] {
    try {
      status = verify(static_cast<pid_t>(options->pid), options->json);
    } catch (const std::exception& error) {
      status = fail(error.what());
    }
  });
}

}  // namespace calltap::cli
