#include "cli/process_description.h"

#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>
#include <vector>

#include "trace/tick_source.h"

namespace calltap::cli {
namespace {

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::string first_line(const std::string& path) {
  std::string text = read_file(path);
  return text.substr(0, text.find('\n'));
}

std::vector<std::string> command_line_of(std::int64_t pid) {
  std::vector<std::string> words;
  const std::string text = read_file(fmt::format("/proc/{}/cmdline", pid));
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\0', at), text.size());
    words.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return words;
}

std::int64_t parent_of(std::int64_t pid) {
  // The fourth field; the second is the name in parentheses and may hold anything.
  const std::string stat = read_file(fmt::format("/proc/{}/stat", pid));
  const std::size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos || name_end + 4 > stat.size()) return 0;
  return std::atoll(stat.c_str() + name_end + 4);
}

trace::HostDescription describe_host() {
  trace::HostDescription host;
  utsname names = {};
  if (::uname(&names) == 0) {
    host.name = names.nodename;
    host.kernel = names.release;
    host.machine = names.machine;
  }
  host.boot_id = first_line("/proc/sys/kernel/random/boot_id");
  host.cpu_count = static_cast<std::uint32_t>(::sysconf(_SC_NPROCESSORS_ONLN));
  return host;
}

}  // namespace

trace::ProcessDescription describe_process(std::int64_t pid) {
  trace::ProcessDescription description;
  description.tool_version = CALLTAP_VERSION;
  description.pid = pid;
  description.parent_pid = parent_of(pid);
  description.name = first_line(fmt::format("/proc/{}/comm", pid));
  std::error_code error;
  description.executable = std::filesystem::read_symlink(fmt::format("/proc/{}/exe", pid), error).string();
  description.command_line = command_line_of(pid);
  description.host = describe_host();
  description.start_realtime_ns = trace::sample_clocks().realtime_ns;
  return description;
}

}  // namespace calltap::cli
