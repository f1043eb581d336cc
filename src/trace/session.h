// A recording on disk, opened: its descriptions and where its streams are. Streams are read with
// trace/stream_reader.h.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "trace/description.h"
#include "trace/stream_reader.h"

namespace calltap::trace {

struct StreamFile {
  std::filesystem::path path;
  std::uint32_t tid = 0;
  std::string thread_name;
  DiscardCounts discarded{};
};

struct ProcessTrace {
  std::filesystem::path directory;
  ProcessDescription description;
  std::uint32_t function_count = 0;    // the highest function id
  std::vector<std::string> names;      // distinct, by function id
  std::vector<Parameters> parameters;  // by function id; empty if nothing is known of any
  std::vector<StreamFile> streams;

  [[nodiscard]] const Parameters& parameters_of(std::uint32_t function) const {
    static const Parameters unknown;
    return function < parameters.size() ? parameters[function] : unknown;
  }
  [[nodiscard]] StreamReader open(const StreamFile& stream,
                                  std::size_t buffer_packets = PacketReader::kBufferPackets) const {
    return {stream.path, description.uuid, function_count, buffer_packets};
  }
};

struct Session {
  std::filesystem::path directory;
  std::optional<SessionDescription> description;  // absent for a lone process directory
  std::vector<ProcessTrace> processes;            // by start time
  std::vector<std::string> problems;              // what could not be read, a sentence each

  /// The recording was ended by the tool that made it: what is missing in it was counted.
  [[nodiscard]] bool closed() const;
};

/// `directory` is what `record` wrote, or one of its process directories. Throws TraceError when nothing in
/// it can be read; what can be read in part is returned with `problems`.
Session open_session(const std::filesystem::path& directory);

}  // namespace calltap::trace
