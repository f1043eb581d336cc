#include "cli/row_filter.h"

#include <fmt/format.h>

#include <CLI/Error.hpp>
#include <algorithm>

#include "filter/near_miss.h"

namespace calltap::cli {
namespace {

/// The pattern with a mark under the character that is wrong.
[[noreturn]] void throw_syntax_error(const std::string& pattern, const base::Error& error) {
  throw CLI::ValidationError(fmt::format("{}\n  {}\n  {}^", base::text(error.code), pattern,
                                         std::string(static_cast<std::size_t>(error.address) - 1, ' ')));
}

}  // namespace

filter::FunctionName name_of(const SiteRow& row) { return {row.module, row.symbol, row.function}; }

filter::Filter make_filter(const std::vector<std::string>& functions,
                           const std::vector<std::string>& excluded) {
  filter::Filter filter;
  for (const std::string& pattern : functions) {
    if (auto added = filter.add(pattern); !added) throw_syntax_error(pattern, added.error());
  }
  for (const std::string& pattern : excluded) {
    if (auto added = filter.add_notrace(pattern); !added) throw_syntax_error(pattern, added.error());
  }
  return filter;
}

std::string describe_no_match(const filter::Filter& filter, std::span<const SiteRow> rows) {
  for (const filter::Pattern& pattern : filter.patterns()) {
    const auto matched = [&](const SiteRow& row) { return filter::matches(pattern, name_of(row)); };
    if (pattern.remove || std::any_of(rows.begin(), rows.end(), matched)) continue;
    filter::NearMisses near(pattern);
    for (const SiteRow& row : rows) near.consider(name_of(row));
    std::string message = fmt::format("no function matches \"{}\"", pattern.name);
    if (!pattern.any_module) message += fmt::format(" in \"{}\"", pattern.module);
    if (!near.best().empty()) message += fmt::format("; did you mean {}?", fmt::join(near.best(), ", "));
    return message;
  }
  return "the filters leave no function";
}

std::string describe_no_sites(const std::string& subject) {
  return fmt::format(
      "no patchable functions in {}: compile with " CALLTAP_ENTRY_FLAG
      ", or with "
      "calltap_instrument(target) from CalltapInstrument.cmake; gold drops clang's entries if it is given "
      "--gc-sections",
      subject);
}

}  // namespace calltap::cli
