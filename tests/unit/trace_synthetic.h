// Makes recordings without recording: packets through event/event_layout.h, descriptions through
// trace/description.h.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "event/event_layout.h"
#include "trace/description.h"

namespace calltap::test {

/// The bytes of one stream file. Starts a new packet when one is full, as the recorder does.
class SyntheticStream {
 public:
  explicit SyntheticStream(std::uint32_t tid, std::uint64_t begin = 0);

  SyntheticStream& entry(std::uint32_t function, std::uint64_t time) {
    return event(event::EventId::kEntry, function, time);
  }
  SyntheticStream& exit(std::uint32_t function, std::uint64_t time) {
    return event(event::EventId::kExit, function, time);
  }
  SyntheticStream& unwound(std::uint32_t function, std::uint64_t time) {
    return event(event::EventId::kUnwound, function, time);
  }
  /// Compact where that is possible.
  SyntheticStream& event(event::EventId id, std::uint32_t function, std::uint64_t time);
  SyntheticStream& extended(event::EventId id, std::uint32_t function, std::uint64_t time);
  /// With words of data behind it.
  SyntheticStream& with_words(event::EventId id, std::uint32_t function, std::uint64_t time,
                              std::uint32_t layout, const std::vector<std::uint64_t>& words);
  /// Appends a word as it is.
  SyntheticStream& word(std::uint64_t value);

  /// Ends the packet, if one is open, with zeros up to `padded_bytes` (0: no padding).
  SyntheticStream& end_packet(std::size_t padded_bytes = 0);
  /// Forgets the open packet's events, as if it had been lost on its way to the file.
  SyntheticStream& lose_packet();
  /// From the open or next packet on.
  SyntheticStream& discarded(std::uint64_t total);

  /// Ends the packet and returns the file's content.
  std::string& bytes();

 private:
  void begin_packet();
  void make_room(std::size_t words);

  std::uint32_t tid_;
  std::string bytes_;
  std::vector<std::uint64_t> words_;  // of the open packet
  bool open_ = false;
  bool gap_ = false;  // events are missing before the next packet
  std::uint64_t begin_;
  std::uint64_t time_;
  std::uint64_t sequence_ = 0;
  std::uint64_t discarded_ = 0;
};

/// One process of `function_names` (ids from 1) in a module "program"; one tick is one nanosecond.
trace::ProcessDescription synthetic_description(const std::vector<std::string>& function_names);
void add_thread(trace::ProcessDescription& process, std::uint32_t tid, const std::string& name);

/// A directory below the system's temporary directory, gone with the object.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

void write_bytes(const std::filesystem::path& file, const std::string& bytes);
std::string read_bytes(const std::filesystem::path& file);

/// Writes session.json and the description into `session`, and returns the process directory.
std::filesystem::path write_process(const std::filesystem::path& session,
                                    const trace::ProcessDescription& process);

}  // namespace calltap::test
