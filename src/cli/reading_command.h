// What the commands that read a recording have in common: the DIR argument, errors, notices, where the output
// goes.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

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

/// For options that limit the levels shown.
inline constexpr std::uint64_t kMostLevels = 1'000'000'000;

}  // namespace calltap::cli
