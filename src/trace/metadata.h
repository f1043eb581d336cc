// The TSDL text that tells other CTF 1.8 readers what event/event_layout.h tells us.
#pragma once

#include <string>

#include "trace/description.h"

namespace calltap::trace {

std::string ctf_metadata(const ProcessDescription& process);

}  // namespace calltap::trace
