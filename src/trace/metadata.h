// The TSDL text that tells other CTF 1.8 readers what event/event_layout.h tells us.
#pragma once

#include <string>
#include <string_view>

#include "trace/description.h"

namespace calltap::trace {

std::string ctf_metadata(const ProcessDescription& process);

/// The beginning and the end of a file are enough to tell whether it is this process's metadata.
inline constexpr std::size_t kMetadataHeadBytes = 1024;
inline constexpr std::string_view kMetadataTail = "};\n";
bool is_metadata_of(const ProcessDescription& process, std::string_view head, std::string_view tail);

}  // namespace calltap::trace
