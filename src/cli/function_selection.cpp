#include "cli/function_selection.h"

#include <memory>

#include "cli/row_filter.h"
#include "trace/function_names.h"
#include "trace/trace_error.h"

namespace calltap::cli {
namespace {

/// The filter keeps views of the patterns, so all live together.
struct OwnedFilter {
  std::vector<std::string> wanted;
  std::vector<std::string> unwanted;
  filter::Filter filter;
};

/// As `calltap list` has them, for what it says when nothing matches.
std::vector<SiteRow> rows_of(const trace::Session& session) {
  std::vector<SiteRow> rows;
  for (const trace::ProcessTrace& process : session.processes) {
    for (const trace::FunctionDescription& f : process.description.functions) {
      SiteRow row{};
      row.function = f.name;
      row.symbol = f.symbol;
      row.module = trace::module_name(process.description, f.module);
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

}  // namespace

FunctionPredicate select_functions(const trace::Session& session, const std::vector<std::string>& wanted,
                                   const std::vector<std::string>& unwanted) {
  if (wanted.empty() && unwanted.empty()) return nullptr;
  const auto owned = std::make_shared<OwnedFilter>();
  owned->wanted = wanted;
  owned->unwanted = unwanted;
  owned->filter = make_filter(owned->wanted, owned->unwanted);
  const FunctionPredicate selects = [owned](const trace::ProcessTrace& process,
                                            const trace::FunctionDescription& f) {
    return owned->filter.selects({trace::module_name(process.description, f.module), f.symbol, f.name});
  };
  for (const trace::ProcessTrace& process : session.processes) {
    for (const trace::FunctionDescription& f : process.description.functions) {
      if (selects(process, f)) return selects;
    }
  }
  throw trace::TraceError(trace::TraceError::Kind::kNoSuchFunction,
                          describe_no_match(owned->filter, rows_of(session)));
}

}  // namespace calltap::cli
