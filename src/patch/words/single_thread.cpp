#include "patch/words/single_thread.h"

#include <fcntl.h>
#include <sys/single_threaded.h>

#include <cstring>

#include "isa/system.h"
#include "patch/memory_map.h"

namespace calltap::patch {
namespace {

namespace native = isa::native;

/// qemu-user shows the program most of /proc as its own, but not its name and not its threads: one of them
/// is for itself, and never runs a program's code.
bool is_under_qemu() {
  constexpr char kPrefix[] = {'q', 'e', 'm', 'u', '-'};
  const long fd = native::system_call(SYS_openat, AT_FDCWD, reinterpret_cast<long>("/proc/self/comm"),
                                      O_RDONLY | O_CLOEXEC);
  if (isa::is_error(fd)) return false;
  char name[sizeof kPrefix] = {};
  const long n = native::system_call(SYS_read, fd, reinterpret_cast<long>(name), sizeof name);
  native::system_call(SYS_close, fd);
  return n == sizeof name && std::memcmp(name, kPrefix, sizeof name) == 0;
}

}  // namespace

bool is_single_threaded() {
  const unsigned threads = thread_count();
  return threads == 1 || (threads == 2 && __libc_single_threaded != 0 && is_under_qemu());
}

}  // namespace calltap::patch
