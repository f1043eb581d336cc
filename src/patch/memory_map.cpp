#include "patch/memory_map.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/auxv.h>

#include "isa/system.h"

namespace calltap::patch {
namespace {

namespace native = isa::native;

/// A file below /proc/self, read in pieces without libc.
class ProcFile {
 public:
  explicit ProcFile(const char* path, int flags = O_RDONLY)
      : fd_(native::system_call(SYS_openat, AT_FDCWD, reinterpret_cast<long>(path), flags | O_CLOEXEC)) {}
  ~ProcFile() {
    if (!isa::is_error(fd_)) native::system_call(SYS_close, fd_);
  }
  ProcFile(const ProcFile&) = delete;
  ProcFile& operator=(const ProcFile&) = delete;

  [[nodiscard]] bool is_open() const { return !isa::is_error(fd_); }
  [[nodiscard]] long fd() const { return fd_; }
  /// Bytes read, 0 at the end, negative on error.
  long read(std::span<char> out) const {
    return native::system_call(SYS_read, fd_, reinterpret_cast<long>(out.data()),
                               static_cast<long>(out.size()));
  }

 private:
  long fd_;
};

/// Parses "low-high ..." lines.
class RangeParser {
 public:
  /// False when memory is exhausted.
  bool feed(char c, base::Array<plan::Range>& out) {
    if (c == '\n') {
      at_ = 0;
      range_ = {};
    } else if (at_ == 2) {
      return true;
    } else if (c == '-') {
      at_ = 1;
    } else if (c == ' ') {
      at_ = 2;
      return add_range(out, range_);
    } else {
      std::uint64_t& number = at_ == 0 ? range_.begin : range_.end;
      number = number * 16 + static_cast<std::uint64_t>(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return true;
  }

 private:
  plan::Range range_;
  int at_ = 0;
};

/// Calls `visit(name)` for each thread of the process until it returns false. False if /proc cannot be read.
template <class Visit>
bool for_each_thread(Visit visit) {
  const ProcFile tasks("/proc/self/task", O_RDONLY | O_DIRECTORY);
  if (!tasks.is_open()) return false;
  alignas(8) char buffer[2048];
  for (;;) {
    const long n =
        native::system_call(SYS_getdents64, tasks.fd(), reinterpret_cast<long>(buffer), sizeof buffer);
    if (n <= 0) return n == 0;
    for (long at = 0; at < n;) {
      const auto* entry = reinterpret_cast<const dirent64*>(buffer + at);
      if (entry->d_name[0] != '.' && !visit(static_cast<const char*>(entry->d_name))) return true;
      at += entry->d_reclen;
    }
  }
}

/// The hexadecimal number behind `key` in /proc/self/task/TID/status.
bool read_status_mask(const char* tid, const char* key, std::uint64_t& value) {
  char path[64] = "/proc/self/task/";
  std::size_t length = 16;
  for (const char* c = tid; *c != '\0' && length < 48; ++c) path[length++] = *c;
  for (const char* c = "/status"; *c != '\0'; ++c) path[length++] = *c;
  path[length] = '\0';
  const ProcFile status(path);
  char text[4096];
  long size = 0;
  for (long n = 1; n > 0 && size<static_cast<long>(sizeof text); size += n> 0 ? n : 0) {
    n = status.read(std::span(text + size, sizeof text - static_cast<std::size_t>(size)));
  }
  for (long i = 0; i < size; ++i) {
    long k = 0;
    while (key[k] != '\0' && i + k < size && text[i + k] == key[k]) ++k;
    if (key[k] != '\0') continue;
    value = 0;
    for (long j = i + k; j < size && text[j] != '\n'; ++j) {
      const char c = text[j];
      if (c == ' ' || c == '\t') continue;
      value = value * 16 + static_cast<std::uint64_t>(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return true;
  }
  return false;
}

std::uint64_t decimal(const char* text) {
  std::uint64_t value = 0;
  for (; *text != '\0'; ++text) value = value * 10 + static_cast<std::uint64_t>(*text - '0');
  return value;
}

}  // namespace

std::uint64_t page_bytes() { return ::getauxval(AT_PAGESZ); }

bool add_range(base::Array<plan::Range>& ranges, plan::Range range) {
  if (!ranges.push_back(range)) return false;
  std::size_t i = ranges.size() - 1;
  for (; i > 0 && ranges[i - 1].begin > range.begin; --i) ranges[i] = ranges[i - 1];
  ranges[i] = range;
  if (i > 0 && ranges[i - 1].end == range.begin) {
    ranges[i - 1].end = range.end;
    for (; i + 1 < ranges.size(); ++i) ranges[i] = ranges[i + 1];
    ranges.pop_back();
  }
  return true;
}

base::Result<plan::Range> executable_mapping(std::uint64_t address) {
  const ProcFile maps("/proc/self/maps");
  if (!maps.is_open()) return base::ErrorCode::kFileRead;
  // "low-high rwxp ...", of which the permissions are the four characters after the first space.
  std::uint64_t number[2] = {};
  int field = 0;
  int column = 0;
  char buffer[512];
  for (long n = maps.read(buffer); n > 0; n = maps.read(buffer)) {
    for (const char c : std::span(buffer).first(static_cast<std::size_t>(n))) {
      if (c == '\n') {
        number[0] = number[1] = 0;
        field = 0;
      } else if (field < 2 && (c == '-' || c == ' ')) {
        ++field;
        column = 0;
      } else if (field < 2) {
        number[field] = number[field] * 16 + static_cast<std::uint64_t>(c <= '9' ? c - '0' : c - 'a' + 10);
      } else if (column++ == 2 && number[0] <= address && address < number[1]) {
        return c == 'x' ? plan::Range{number[0], number[1]} : plan::Range();
      }
    }
  }
  return plan::Range();
}

base::Result<bool> is_executable_memory(std::uint64_t address) {
  const auto mapping = executable_mapping(address);
  if (!mapping) return mapping.error();
  return mapping->end != 0;
}

base::Result<base::Array<plan::Range>> read_memory_map() {
  const ProcFile maps("/proc/self/maps");
  if (!maps.is_open()) return base::ErrorCode::kFileRead;
  base::Array<plan::Range> ranges;
  RangeParser parser;
  char buffer[4096];
  for (;;) {
    const long n = maps.read(buffer);
    if (n < 0) return base::ErrorCode::kFileRead;
    if (n == 0) return ranges;
    for (long i = 0; i < n; ++i) {
      if (!parser.feed(buffer[i], ranges)) return base::ErrorCode::kOutOfMemory;
    }
  }
}

unsigned thread_count() {
  unsigned count = 0;
  const bool readable = for_each_thread([&](const char*) {
    ++count;
    return true;
  });
  return readable ? count : 0;
}

bool any_other_thread_blocks(int signal) {
  bool blocked = false;
  const auto me = static_cast<std::uint64_t>(isa::current_tid());
  const std::uint64_t bit = std::uint64_t{1} << (signal - 1);
  const bool readable = for_each_thread([&](const char* tid) {
    if (decimal(tid) == me) return true;
    std::uint64_t mask = ~std::uint64_t{0};
    if (!read_status_mask(tid, "SigBlk:", mask)) return true;  // the thread has just ended
    blocked = (mask & bit) != 0;
    return !blocked;
  });
  return blocked || !readable;
}

}  // namespace calltap::patch
