#include "trace/function_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

namespace calltap::trace {
namespace {

/// Renames every function whose name others have too, and returns false if there was none. The new names are
/// kept aside until all are made: the counts refer to the old ones.
template <class Rename>
bool rename_shared(std::vector<std::string>& names, const ProcessDescription& process, Rename rename) {
  std::unordered_map<std::string_view, std::uint32_t> counts;
  counts.reserve(names.size());
  std::vector<const std::uint32_t*> count_of(names.size());
  for (std::size_t id = 0; id < names.size(); ++id) {
    if (names[id].empty()) continue;
    std::uint32_t& count = counts[names[id]];
    ++count;
    count_of[id] = &count;
  }
  std::vector<std::pair<std::uint32_t, std::string>> renamed;
  for (const FunctionDescription& f : process.functions) {
    if (*count_of[f.id] > 1) renamed.emplace_back(f.id, rename(f));
  }
  for (auto& [id, name] : renamed) names[id] = std::move(name);
  return !renamed.empty();
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
  const auto with_module = [&](const FunctionDescription& f) {
    return fmt::format("{}@{}", names[f.id], module_name(process, f.module));
  };
  const auto with_address = [&](const FunctionDescription& f) {
    return fmt::format("{}+{:#x}", names[f.id], f.link_address);
  };
  const auto with_number = [&](const FunctionDescription& f) {
    return fmt::format("{}#{}", names[f.id], f.id);
  };
  // Only a description that contradicts itself still has duplicates at the third.
  if (rename_shared(names, process, with_module) && rename_shared(names, process, with_address)) {
    rename_shared(names, process, with_number);
  }
  return names;
}

}  // namespace calltap::trace
