#include "cli/recording_directory.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>
#include <vector>

#include "cli/module_sources.h"
#include "trace/description_names.h"
#include "trace/session.h"
#include "trace/tick_source.h"

namespace calltap::cli {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse_output(const fs::path& directory, const std::string& why) {
  throw SourceError(fmt::format("cannot make a recording in {}: {}; choose another place with -o",
                                directory.string(), why));
}

bool is_recording(const fs::path& directory) {
  std::error_code error;
  return fs::exists(directory / ".calltap" / "session.json", error);
}

/// DIR.old, out of the way of the recording that becomes it.
fs::path make_way_for_older(const fs::path& directory) {
  fs::path old = directory;
  if (!old.has_filename()) old = old.parent_path();
  old += ".old";
  std::error_code error;
  if (!fs::exists(fs::symlink_status(old, error))) return old;
  if (!is_recording(old)) {
    refuse_output(directory,
                  fmt::format("the recording there would become {}, which exists and is not a recording",
                              old.string()));
  }
  fs::remove_all(old, error);
  if (error) refuse_output(directory, fmt::format("cannot remove {}: {}", old.string(), error.message()));
  return old;
}

/// Makes an empty directory; a recording that is in the way becomes DIR.old. Throws SourceError rather than
/// touch anything that is not a recording.
void make_directory(const fs::path& directory) {
  std::error_code error;
  if (fs::exists(directory, error) &&
      !(fs::is_directory(directory, error) && fs::is_empty(directory, error))) {
    if (!is_recording(directory)) refuse_output(directory, "it exists and is not a recording");
    const fs::path old = make_way_for_older(directory);
    fs::rename(directory, old, error);
    if (error)
      refuse_output(directory, fmt::format("cannot rename it to {}: {}", old.string(), error.message()));
  }
  fs::create_directories(directory, error);
  if (error) refuse_output(directory, error.message());
  // Ours alone: what the process does is nobody else's business, whatever the umask says.
  fs::permissions(directory, fs::perms::owner_all, error);
  if (::access(directory.c_str(), W_OK | X_OK) != 0) refuse_output(directory, std::strerror(errno));
}

std::vector<std::string> option_words(const RecordOptions& options) {
  std::vector<std::string> words;
  for (const std::string& f : options.functions) words.insert(words.end(), {"-F", f});
  for (const std::string& f : options.excluded) words.insert(words.end(), {"-N", f});
  if (options.arguments) words.push_back("--args");
  words.insert(words.end(), {"--on-full", std::string(trace::name(options.buffers.on_full)), "--buffer",
                             std::to_string(options.buffers.bytes_per_thread)});
  if (options.max_bytes != 0) words.insert(words.end(), {"--max-size", std::to_string(options.max_bytes)});
  if (options.budget != 0)
    words.insert(words.end(), {"--budget", fmt::format("{:g}%", options.budget * 100)});
  return words;
}

}  // namespace

trace::SessionDescription begin_recording(const RecordOptions& options, const fs::path& directory) {
  make_directory(directory);
  trace::SessionDescription description;
  description.tool_version = CALLTAP_VERSION;
  description.command = options.command;
  description.options = option_words(options);
  description.start_realtime_ns = trace::sample_clocks().realtime_ns;
  if (const auto error = trace::write_session(directory, description)) {
    refuse_output(directory, error.message());
  }
  return description;
}

}  // namespace calltap::cli
