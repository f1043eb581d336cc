#include "trace/atomic_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>

namespace calltap::trace {
namespace {

std::error_code last_error() { return {errno, std::generic_category()}; }

std::error_code write_all(int fd, std::string_view content) {
  while (!content.empty()) {
    const ssize_t n = ::write(fd, content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return last_error();
    content.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

}  // namespace

std::error_code replace_file(const std::filesystem::path& path, std::string_view content) {
  const std::string fresh = path.string() + ".new";
  const int fd = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return last_error();
  std::error_code error = write_all(fd, content);
  if (::close(fd) != 0 && !error) error = last_error();
  if (!error && ::rename(fresh.c_str(), path.c_str()) != 0) error = last_error();
  if (error) ::unlink(fresh.c_str());
  return error;
}

}  // namespace calltap::trace
