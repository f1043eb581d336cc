#include "cli/module_functions.h"

#include <cxxabi.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "cli/debug_parameters.h"
#include "cli/module_sources.h"
#include "site/debug_file.h"
#include "site/demangler.h"
#include "site/sites.h"
#include "site/symbols.h"
#include "trace/printable.h"

namespace calltap::cli {
namespace {

std::string base_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

bool read_functions(const std::string& file_path, const std::string& build_id, std::uint32_t site_count,
                    trace::ModuleFunctions& module) {
  const auto file = site::ElfFile::open(file_path.c_str());
  if (!file || hex(file->build_id()) != build_id) return false;
  const auto sites = site::discover(*file);
  const auto symbols = site::SymbolTable::load(*file, "/usr/lib/debug", file_path.c_str());
  if (!sites || !symbols || sites->size() != site_count) return false;
  site::Demangler demangler(abi::__cxa_demangle, std::free);
  const std::string name = base_name(module.module.path);
  char buffer[512];
  for (std::uint32_t i = 0; i < site_count; ++i) {
    trace::FunctionDescription function;
    function.id = i;
    function.link_address = (*sites)[i].entry.value;
    const std::string_view symbol = site::function_name(*symbols, name, (*sites)[i].entry, buffer);
    function.symbol = trace::printable(std::string(symbol));
    function.name = trace::printable(std::string(demangler.demangle(symbol)));
    module.functions.push_back(std::move(function));
  }
  return true;
}

void add_parameters(const std::string& file_path, trace::ModuleFunctions& module) {
  auto parameters = read_parameters(file_path);
  if (parameters.empty()) {
    const auto file = site::ElfFile::open(file_path.c_str());
    if (!file) return;
    const auto debug = site::find_debug_file(*file, "/usr/lib/debug", file_path.c_str());
    if (!debug) return;
    parameters = read_parameters(debug->path());
  }
  std::vector<std::uint64_t> entries;
  for (const trace::FunctionDescription& function : module.functions)
    entries.push_back(function.link_address);
  std::sort(entries.begin(), entries.end());
  for (trace::FunctionDescription& function : module.functions) {
    constexpr std::uint64_t kMostPatchable = 256;
    const auto found = parameters.lower_bound(function.link_address);
    const auto next = std::upper_bound(entries.begin(), entries.end(), function.link_address);
    if (found == parameters.end() || found->first - function.link_address > kMostPatchable) continue;
    if (next != entries.end() && *next <= found->first) continue;
    if (!has_other_parameters(function.symbol)) function.parameters = found->second;
  }
}

}  // namespace

std::shared_ptr<const trace::ModuleFunctions> ModuleFunctionCache::find(std::int64_t pid,
                                                                        const std::string& path,
                                                                        const std::string& build_id,
                                                                        std::uint32_t site_count) {
  auto& known = known_[{path, build_id}];
  if (known != nullptr && known->functions.size() == site_count) return known;
  auto module = std::make_shared<trace::ModuleFunctions>();
  module->module.path = path;
  module->module.build_id = build_id;
  const std::string in_its_namespace = fmt::format("/proc/{}/root{}", pid, path);
  if (site_count == 0) return known = module;
  if (read_functions(path, build_id, site_count, *module)) {
    if (with_parameters_) add_parameters(path, *module);
  } else if (read_functions(in_its_namespace, build_id, site_count, *module)) {
    if (with_parameters_) add_parameters(in_its_namespace, *module);
  } else {
    for (std::uint32_t i = 0; i < site_count; ++i) {
      trace::FunctionDescription function;
      function.id = i;
      function.symbol = function.name = fmt::format("{}#{}", base_name(path), i);
      module->functions.push_back(std::move(function));
    }
  }
  known = module;
  return known;
}

std::string describe_missed_names(const trace::ModuleFunctions& module, const filter::Filter& filter,
                                  std::uint32_t selected) {
  if (filter.empty()) return {};
  const std::string name = base_name(module.module.path);
  std::uint32_t by_symbol = 0;
  std::uint32_t by_name = 0;
  const std::string* example = nullptr;
  for (const trace::FunctionDescription& f : module.functions) {
    const bool symbol_matches = filter.selects({name, f.symbol, f.symbol});
    const bool name_matches = filter.selects({name, f.symbol, f.name});
    by_symbol += symbol_matches ? 1 : 0;
    by_name += name_matches ? 1 : 0;
    if (symbol_matches != name_matches) example = &f.symbol;
  }
  if (selected != by_symbol || by_symbol == by_name) return {};
  return fmt::format(
      "{}: of its functions {} are recorded, not {}: the program had no C++ library when it started, so "
      "patterns are "
      "compared with symbols only, such as {}",
      name, by_symbol, by_name, *example);
}

}  // namespace calltap::cli
