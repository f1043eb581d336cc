// What /proc says of a process, for its recording.
#pragma once

#include <cstdint>

#include "trace/description.h"

namespace calltap::cli {

/// All but the uuid and the filters. What cannot be read is empty.
trace::ProcessDescription describe_process(std::int64_t pid);

}  // namespace calltap::cli
