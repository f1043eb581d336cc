#include "trace/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>

#include "trace/description_names.h"
#include "trace/function_names.h"
#include "trace/metadata.h"
#include "trace/trace_error.h"

namespace calltap::trace {
namespace {

namespace fs = std::filesystem;
using Kind = TraceError::Kind;

std::vector<fs::directory_entry> entries(const fs::path& directory) {
  std::vector<fs::directory_entry> found;
  std::error_code error;
  for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    found.push_back(*at);
  }
  if (error) {
    throw TraceError(Kind::kUnreadable,
                     fmt::format("cannot read {}: {}", directory.string(), error.message()));
  }
  std::sort(found.begin(), found.end());
  return found;
}

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

/// Fewer than `count` only where the file has no more.
std::string bytes_at(std::ifstream& in, std::streamoff from, std::size_t count) {
  std::string bytes(count, '\0');
  in.clear();
  in.seekg(from);
  in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  bytes.resize(static_cast<std::size_t>(in.gcount()));
  return bytes;
}

std::string first_bytes(const fs::path& file, std::size_t count) {
  std::ifstream in(file, std::ios::binary);
  return bytes_at(in, 0, count);
}

/// We do without it, but nobody else can open the trace.
void check_metadata(const ProcessTrace& process, std::vector<std::string>& problems) {
  const fs::path file = process.directory / "metadata";
  std::error_code error;
  const std::uintmax_t size = fs::file_size(file, error);
  const char* const others = "babeltrace2 and Trace Compass cannot open this trace";
  if (error) {
    problems.push_back(fmt::format("cannot read {}: {}; {}", file.string(), error.message(), others));
    return;
  }
  std::ifstream in(file, std::ios::binary);
  const std::string head = bytes_at(in, 0, kMetadataHeadBytes);
  const std::size_t tail = std::min<std::size_t>(kMetadataTail.size(), size);
  if (is_metadata_of(process.description, head, bytes_at(in, static_cast<std::streamoff>(size - tail), tail)))
    return;
  problems.push_back(fmt::format("{} is {}; {}", file.string(),
                                 size == 0 ? "empty" : "damaged or of another trace", others));
}

/// Names the tracers whose directories people are likely to have at hand.
[[noreturn]] void refuse_foreign(const fs::path& directory) {
  const std::string shown = directory.string();
  if (first_bytes(directory / "info", 8).starts_with("Ftrace!")) {
    throw TraceError(Kind::kForeign, fmt::format("{} is an uftrace recording: read it with uftrace", shown));
  }
  if (is_there(directory / "metadata") || is_there(directory / "ust") || is_there(directory / "kernel")) {
    throw TraceError(Kind::kForeign,
                     fmt::format("{} is a trace of another tracer, not of calltap: try babeltrace2", shown));
  }
  throw TraceError(Kind::kForeign, fmt::format("{} is not a calltap recording (it has no {} or {})", shown,
                                               kSessionFile, kProcessFile));
}

/// Streams that the description does not name belong to threads that began after it was last written.
std::vector<StreamFile> find_streams(const fs::path& directory, const ProcessDescription& description) {
  std::vector<StreamFile> streams;
  for (const ThreadDescription& t : description.threads) {
    if (!t.stream.empty()) streams.push_back({directory / t.stream, t.tid, t.name, t.discarded});
  }
  const std::size_t described = streams.size();
  for (const fs::directory_entry& entry : entries(directory)) {
    constexpr std::string_view kPrefix = "thread-";
    const std::string file = entry.path().filename().string();
    if (!file.starts_with(kPrefix) || !entry.is_regular_file()) continue;
    const auto same = [&](const StreamFile& s) { return s.path == entry.path(); };
    if (std::any_of(streams.begin(), streams.begin() + static_cast<std::ptrdiff_t>(described), same))
      continue;
    const auto tid = static_cast<std::uint32_t>(std::strtoul(file.c_str() + kPrefix.size(), nullptr, 10));
    streams.push_back({entry.path(), tid, "", {}});
  }
  return streams;
}

/// Streams are sequences of whole packets, so that one that was cut between two of them looks like a shorter
/// one. A recording that is still being made only grows.
void check_length(const ProcessTrace& process, std::vector<std::string>& problems) {
  std::uint64_t bytes = 0;
  for (const StreamFile& stream : process.streams) {
    std::error_code error;
    const std::uintmax_t size = fs::file_size(stream.path, error);
    if (!error) bytes += size;
  }
  if (bytes >= process.description.bytes) return;
  problems.push_back(fmt::format("{} has lost {} of the {} bytes of events that were recorded",
                                 process.directory.string(), process.description.bytes - bytes,
                                 process.description.bytes));
}

ProcessTrace open_process(const fs::path& directory, std::vector<std::string>& problems) {
  ProcessTrace process;
  process.directory = directory;
  process.description = read_description(directory);
  process.names = distinct_names(process.description);
  process.function_count = static_cast<std::uint32_t>(process.names.size() - 1);
  for (FunctionDescription& f : process.description.functions) {
    if (!f.parameters) continue;
    process.parameters.resize(process.names.size());
    process.parameters[f.id] = std::move(f.parameters);
  }
  process.streams = find_streams(directory, process.description);
  check_length(process, problems);
  check_metadata(process, problems);
  return process;
}

void open_processes(Session& session) {
  std::optional<TraceError> first;
  for (const fs::directory_entry& entry : entries(session.directory)) {
    if (!entry.is_directory() || entry.path().filename().string().starts_with('.')) continue;
    if (!is_there(entry.path() / kProcessFile) && !is_there(entry.path() / "metadata")) continue;
    try {
      session.processes.push_back(open_process(entry.path(), session.problems));
    } catch (const TraceError& error) {
      if (!first) first = error;
      session.problems.emplace_back(error.what());
    }
  }
  if (session.processes.empty() && first) throw TraceError(*first);
  std::stable_sort(session.processes.begin(), session.processes.end(), [](const auto& a, const auto& b) {
    return a.description.start_realtime_ns < b.description.start_realtime_ns;
  });
}

}  // namespace

bool Session::closed() const {
  return (!description || description->closed) &&
         std::none_of(processes.begin(), processes.end(), [](const ProcessTrace& process) {
           return process.description.end.kind == EndKind::kRunning;
         });
}

Session open_session(const fs::path& directory) {
  Session session;
  session.directory = directory;
  std::error_code error;
  const fs::file_status status = fs::status(directory, error);
  if (!fs::exists(status)) {
    throw TraceError(Kind::kNotADirectory, fmt::format("no recording at {}: {}", directory.string(),
                                                       error ? error.message() : "no such directory"));
  }
  if (!fs::is_directory(status)) {
    throw TraceError(Kind::kNotADirectory,
                     fmt::format("{} is not a directory, so not a calltap recording", directory.string()));
  }
  if (is_there(directory / kProcessFile)) {
    session.processes.push_back(open_process(directory, session.problems));
    return session;
  }
  std::optional<TraceError> problem;
  const std::vector<fs::directory_entry> inside = entries(directory);
  const bool has_process = std::any_of(inside.begin(), inside.end(), [](const fs::directory_entry& entry) {
    return is_there(entry.path() / kProcessFile);
  });
  if (has_process || is_there(directory / kSessionFile)) {
    try {
      session.description = read_session(directory);
    } catch (const TraceError& found) {
      if (found.kind() == Kind::kOlderVersion || found.kind() == Kind::kNewerVersion) throw;
      problem = found;
      session.problems.emplace_back(found.what());
    }
    open_processes(session);
  }
  if (session.processes.empty()) {
    if (problem) throw TraceError(*problem);
    if (!session.description) refuse_foreign(directory);
    session.problems.push_back(fmt::format("{} holds no process: nothing was recorded", directory.string()));
  }
  return session;
}

}  // namespace calltap::trace
