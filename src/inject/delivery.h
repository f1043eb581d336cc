// How the library gets into the process: as a file without a name, which works whatever the process can see
// of the file system; where it cannot open such a file by its descriptor, as a file that is removed as soon
// as it is open.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "inject/target.h"

namespace calltap::inject {

/// Throws InjectError.
std::vector<std::uint8_t> read_library(const std::string& path);

/// True if /proc is where the process looks for it.
bool has_proc(pid_t pid);

/// Writes to the memfd that the process has as descriptor `fd`. Empty, or what went wrong. The process may be
/// hostile and have put any other file there, which we, but not it, may write.
std::string fill_memfd(pid_t pid, std::int64_t fd, const std::vector<std::uint8_t>& contents);

/// A file with these contents in a directory that the process sees. Removed by the destructor at the latest.
class DroppedFile {
 public:
  /// Throws InjectError if there is no such directory.
  DroppedFile(pid_t pid, const std::vector<std::uint8_t>& contents);
  DroppedFile(const DroppedFile&) = delete;
  DroppedFile& operator=(const DroppedFile&) = delete;
  ~DroppedFile();

  /// As the process calls it.
  [[nodiscard]] const std::string& theirs() const { return theirs_; }
  void remove() const;

 private:
  int directory_ = -1;
  std::string theirs_;
  std::string name_;
};

}  // namespace calltap::inject
