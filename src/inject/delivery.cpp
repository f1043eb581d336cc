#include "inject/delivery.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
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

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  [[nodiscard]] int number() const { return number_; }

 private:
  int number_;
};

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

std::string fill_memfd(pid_t pid, std::int64_t fd, const std::vector<std::uint8_t>& contents) {
  auto failed = [] {
    return fmt::format("the library could not be written to it: {}", std::strerror(errno));
  };
  // Not opened yet, only looked at: opening a device or a pipe has effects.
  const Descriptor found(::open(fmt::format("/proc/{}/fd/{}", pid, fd).c_str(), O_PATH | O_CLOEXEC));
  struct stat status {};
  if (found.number() < 0 || ::fstat(found.number(), &status) != 0) return failed();
  const std::string self = fmt::format("/proc/self/fd/{}", found.number());
  std::error_code error;
  const std::string name = std::filesystem::read_symlink(self, error);
  if (!S_ISREG(status.st_mode) || status.st_nlink != 0 || !name.starts_with("/memfd:calltap"))
    return "its descriptors change under us";
  const Descriptor file(::open(self.c_str(), O_WRONLY | O_CLOEXEC));
  return file.number() >= 0 && write_all(file.number(), contents) ? "" : failed();
}

DroppedFile::DroppedFile(pid_t pid, const std::vector<std::uint8_t>& contents) {
  const std::string process = fmt::format("/proc/{}", pid);
  struct stat owner {};
  const Descriptor root(::open((process + "/root").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (root.number() < 0 || ::stat(process.c_str(), &owner) != 0)
    throw InjectError(fmt::format("process {} has ended", pid));
  static std::atomic<unsigned> count = 0;
  name_ = fmt::format(".calltap-{}-{}", ::getpid(), ++count);
  for (const char* directory : {"tmp", "dev/shm", "run", "var/tmp", "."}) {
    // A link in there leads to where it leads the process, not to our files.
    open_how how{};
    how.flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    directory_ = static_cast<int>(::syscall(SYS_openat2, root.number(), directory, &how, sizeof how));
    if (directory_ < 0) continue;
    const Descriptor file(
        ::openat(directory_, name_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0500));
    if (file.number() >= 0 && is_executable_there(file.number()) && write_all(file.number(), contents) &&
        (::geteuid() != 0 || ::fchown(file.number(), owner.st_uid, owner.st_gid) == 0)) {
      theirs_ = fmt::format("/{}/{}", directory, name_);
      return;
    }
    if (file.number() >= 0) remove();
    ::close(directory_);
  }
  throw InjectError(fmt::format(
      "process {} has no /proc in its root, and none of its directories can take the library: mount /proc, "
      "or make /tmp writable and executable there",
      pid));
}

void DroppedFile::remove() const { ::unlinkat(directory_, name_.c_str(), 0); }

DroppedFile::~DroppedFile() {
  remove();
  ::close(directory_);
}

}  // namespace calltap::inject
