// The directory that a recording goes to.
#pragma once

#include <filesystem>

#include "cli/record_options.h"
#include "trace/description.h"

namespace calltap::cli {

/// Makes the directory and says in it what is being recorded; a recording that is in the way becomes DIR.old.
/// Throws SourceError rather than touch anything that is not a recording.
trace::SessionDescription begin_recording(const RecordOptions& options,
                                          const std::filesystem::path& directory);

}  // namespace calltap::cli
