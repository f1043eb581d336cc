// calltap list: every site, and for one that cannot be patched, why.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/option_values.h"
#include "cli/row_filter.h"
#include "cli/site_rows.h"

namespace calltap::cli {
namespace {

struct ListOptions {
  std::string subject;
  std::vector<std::string> functions;
  std::vector<std::string> excluded;
  std::string format = "text";
  bool libraries = false;
};

ModuleSources open_subject(const ListOptions& options) {
  std::error_code error;
  const std::string& subject = options.subject;
  if (std::filesystem::is_directory(subject, error)) return modules_of_recording(subject);
  int pid = 0;
  const auto [end, parse_error] = std::from_chars(subject.data(), subject.data() + subject.size(), pid);
  const bool is_number = parse_error == std::errc() && end == subject.data() + subject.size() && pid > 0;
  if (is_number && !std::filesystem::exists(subject, error)) return modules_of_process(pid);
  return modules_of_program(subject, options.libraries);
}

void print_text(std::span<const SiteRow> rows) {
  std::size_t module_width = std::string_view("MODULE").size();
  for (const SiteRow& row : rows) module_width = std::max(module_width, row.module.size());
  fmt::print("{:<16}  {:<11}  {:<9}  {:<{}}  FUNCTION\n", "ADDRESS", "LAYOUT", "METHOD", "MODULE",
             module_width);
  for (const SiteRow& row : rows) {
    fmt::print("{:016x}  {:<11}  {:<9}  {:<{}}  {}", row.address, row.layout, row.method, row.module,
               module_width, row.function);
    if (!row.problem.empty()) fmt::print("  [{}]", row.problem);
    fmt::print("\n");
  }
}

void print_json(std::span<const SiteRow> rows) {
  fmt::print("[");
  const char* separator = "\n";
  for (const SiteRow& row : rows) {
    nlohmann::ordered_json object = {
        {"function", row.function}, {"symbol", row.symbol},
        {"module", row.module},     {"address", fmt::format("{:#x}", row.address)},
        {"layout", row.layout},     {"method", row.method}};
    object["problem"] = row.problem.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(row.problem);
    // Symbol names come from files and may be anything.
    fmt::print("{}{}", separator,
               object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
    separator = ",\n";
  }
  fmt::print("\n]\n");
}

/// RFC 4180.
std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"') result += '"';
    result += c;
  }
  return result + '"';
}

void print_csv(std::span<const SiteRow> rows) {
  fmt::print("function,symbol,module,address,layout,method,problem\n");
  for (const SiteRow& row : rows) {
    fmt::print("{},{},{},{:#x},{},{},{}\n", quoted(row.function), quoted(row.symbol), quoted(row.module),
               row.address, quoted(row.layout), row.method, quoted(row.problem));
  }
}

void list(const ListOptions& options) {
  const filter::Filter filter = make_filter(options.functions, options.excluded);
  ModuleSources sources = open_subject(options);
  std::vector<SiteRow> rows;
  for (const SourceModule& module : sources.modules) {
    try {
      append_sites(module, rows);
    } catch (const SourceError& error) {
      if (sources.modules.size() == 1) throw;
      sources.problems.emplace_back(error.what());
    }
  }
  for (const std::string& problem : sources.problems) fail(problem.c_str());
  if (rows.empty()) {
    throw SourceError(describe_no_sites(options.subject));
  }
  std::vector<SiteRow> selected;
  std::copy_if(rows.begin(), rows.end(), std::back_inserter(selected),
               [&filter](const SiteRow& row) { return filter.selects(name_of(row)); });
  if (selected.empty()) throw SourceError(describe_no_match(filter, rows));
  if (options.format == "json") {
    print_json(selected);
  } else if (options.format == "csv") {
    print_csv(selected);
  } else {
    print_text(selected);
  }
  for (const SourceModule& module : sources.modules) {
    if (is_static_program(module.file))
      fail(fmt::format("{}; its functions can only be listed", describe_static(module.path)).c_str());
  }
  if (std::fflush(stdout) != 0) throw SourceError(fmt::format("cannot write: {}", std::strerror(errno)));
}

}  // namespace

void add_list(CLI::App& app, int& status) {
  auto options = std::make_shared<ListOptions>();
  CLI::App* command =
      app.add_subcommand("list", "List the functions that can be hooked, and why others cannot");
  command->add_option("subject", options->subject, "program or library, recording, or process id")
      ->type_name("PROGRAM|DIR|PID");
  add_patterns(*command, "-F,--function", options->functions, "only functions that match");
  add_patterns(*command, "-N,--notrace", options->excluded, "leave out functions that match");
  add_choice(*command, "--format", options->format, {"text", "json", "csv"}, "text, json or csv");
  command->add_flag("--libs", options->libraries, "also the shared libraries that the program needs");
  command->callback([options, &status] {
    if (options->subject.empty())
      throw CLI::ValidationError("what to list is missing: a PROGRAM, DIR or PID");
    try {
      list(*options);
    } catch (const CLI::ParseError&) {
      throw;
    } catch (const std::exception& error) {
      status = fail(error.what());
    }
  });
}

}  // namespace calltap::cli
