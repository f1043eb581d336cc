// What the commands that read a recording have in common: the DIR argument, errors, notices, where the output
// goes.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "export/output.h"
#include "export/reading.h"
#include "trace/session.h"

namespace CLI {
class App;
}

namespace calltap::cli {

/// Adds the positional DIR, by default "calltap.data", to a command.
void add_directory(CLI::App& command, std::string& directory);

/// Opens the recording, runs `show`, and prints what is missing in the recording to standard error. Returns
/// the exit status: 1 when the recording cannot be read or the output cannot be written.
int run_reading(const std::string& directory,
                const std::function<export_::Reading(const trace::Session&, export_::Output&)>& show);

using FunctionPredicate = std::function<bool(const trace::ProcessTrace&, const trace::FunctionDescription&)>;

/// A predicate of -F and -N patterns, empty when there are none. Throws CLI::ValidationError at a pattern
/// that cannot be parsed.
FunctionPredicate function_predicate(const std::vector<std::string>& wanted,
                                     const std::vector<std::string>& unwanted);

/// Throws TraceError when there is a predicate and no function of the recording satisfies it.
void require_function(const trace::Session& session, const FunctionPredicate& predicate);

/// Adds --min-time: a number with a unit of ns (the default), us, ms or s.
void add_min_time(CLI::App& command, std::uint64_t& ns, const std::string& description);

}  // namespace calltap::cli
