// Replaces a file as a whole: readers see the old content or the new, never a part.
#pragma once

#include <filesystem>
#include <string_view>
#include <system_error>

namespace calltap::trace {

/// Writes `<path>.new` and renames it over `path`. On failure `path` is as before and the new file is gone.
[[nodiscard]] std::error_code replace_file(const std::filesystem::path& path, std::string_view content);

}  // namespace calltap::trace
