#include "trace/function_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

namespace calltap::trace {
namespace {

using NameCounts = std::unordered_map<std::string_view, std::uint32_t>;

NameCounts count_names(const std::vector<std::string>& names) {
  NameCounts counts;
  counts.reserve(names.size());
  for (const std::string& name : names) {
    if (!name.empty()) ++counts[name];
  }
  return counts;
}

/// Renames every function whose name others have too. The counts refer to the old names, so the new ones are
/// kept aside until all are made.
template <class Rename>
void rename_shared(std::vector<std::string>& names, const ProcessDescription& process, Rename rename) {
  const NameCounts counts = count_names(names);
  std::vector<std::pair<std::uint32_t, std::string>> renamed;
  for (const FunctionDescription& f : process.functions) {
    if (counts.at(names[f.id]) > 1) renamed.emplace_back(f.id, rename(f));
  }
  for (auto& [id, name] : renamed) names[id] = std::move(name);
}

}  // namespace

std::string_view module_name(const ProcessDescription& process, std::uint32_t module) {
  if (module >= process.modules.size()) return {};
  const std::string_view path = process.modules[module].path;
  return path.substr(path.rfind('/') + 1);
}

std::vector<std::string> distinct_names(const ProcessDescription& process) {
  std::uint32_t last = 0;
  for (const FunctionDescription& f : process.functions) last = std::max(last, f.id);
  std::vector<std::string> names(std::size_t{last} + 1);
  for (const FunctionDescription& f : process.functions) {
    names[f.id] = !f.name.empty() ? f.name : !f.symbol.empty() ? f.symbol : fmt::format("function {}", f.id);
  }
  rename_shared(names, process, [&](const FunctionDescription& f) {
    return fmt::format("{}@{}", names[f.id], module_name(process, f.module));
  });
  rename_shared(names, process, [&](const FunctionDescription& f) {
    return fmt::format("{}+{:#x}", names[f.id], f.link_address);
  });
  // Only a description that contradicts itself still has duplicates here.
  rename_shared(names, process,
                [&](const FunctionDescription& f) { return fmt::format("{}#{}", names[f.id], f.id); });
  return names;
}

}  // namespace calltap::trace
