// Filters from the command line, over listed sites.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "cli/site_rows.h"
#include "filter/filter.h"

namespace calltap::cli {

filter::FunctionName name_of(const SiteRow& row);

/// The filter of -F and -N options, which must outlive it. Throws CLI::ValidationError with a mark under
/// what is wrong.
filter::Filter make_filter(const std::vector<std::string>& functions,
                           const std::vector<std::string>& excluded);

/// For a filter that selects none of the rows: which pattern is to blame, and what may have been meant.
std::string describe_no_match(const filter::Filter& filter, std::span<const SiteRow> rows);

/// For a subject without sites: what to compile with.
std::string describe_no_sites(const std::string& subject);

}  // namespace calltap::cli
