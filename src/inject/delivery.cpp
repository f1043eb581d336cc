#include "inject/delivery.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "inject/inject.h"

namespace calltap::inject {
namespace {

bool write_all(int fd, const std::vector<std::uint8_t>& contents) {
  for (std::size_t done = 0; done < contents.size();) {
    const ssize_t put = ::write(fd, contents.data() + done, contents.size() - done);
    if (put <= 0) return false;
    done += static_cast<std::size_t>(put);
  }
  return true;
}

bool is_executable_there(int fd) {
  struct statvfs status {};
  return ::fstatvfs(fd, &status) == 0 && (status.f_flag & ST_NOEXEC) == 0;
}

}  // namespace

std::vector<std::uint8_t> read_library(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw InjectError(fmt::format("{}: {}", path, std::strerror(errno)));
  return {std::istreambuf_iterator<char>(file), {}};
}

bool has_proc(pid_t pid) {
  struct statfs status {};
  return ::statfs(fmt::format("/proc/{}/root/proc", pid).c_str(), &status) == 0 &&
         static_cast<unsigned long>(status.f_type) == PROC_SUPER_MAGIC;
}

DroppedFile::DroppedFile(pid_t pid, const std::vector<std::uint8_t>& contents) {
  struct stat owner {};
  const std::string process = fmt::format("/proc/{}", pid);
  if (::stat(process.c_str(), &owner) != 0) throw InjectError(fmt::format("process {} has ended", pid));
  for (const char* directory : {"/tmp", "/dev/shm", "/run", "/var/tmp", "/var/run", ""}) {
    static unsigned count = 0;
    theirs_ = fmt::format("{}/.calltap-{}-{}", directory, ::getpid(), ++count);
    ours_ = fmt::format("{}/root{}", process, theirs_);
    const int fd = ::open(ours_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0500);
    if (fd < 0) continue;
    const bool done = is_executable_there(fd) && write_all(fd, contents) &&
                      (::geteuid() != 0 || ::fchown(fd, owner.st_uid, owner.st_gid) == 0);
    ::close(fd);
    if (done) return;
    ::unlink(ours_.c_str());
  }
  throw InjectError(fmt::format(
      "process {} has no /proc in its root, and none of its directories can take the library: mount /proc, "
      "or make /tmp writable and executable there",
      pid));
}

DroppedFile::~DroppedFile() { ::unlink(ours_.c_str()); }

}  // namespace calltap::inject
