#include "cli/loader_libraries.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <sstream>
#include <string_view>

#include "cli/exec_wrapper.h"

namespace calltap::cli {
namespace {

bool is_system_loader(const std::string& interpreter) {
  std::error_code error;
  const std::string path = std::filesystem::canonical(interpreter, error).string();
  for (const std::string_view directory : {"/lib/", "/lib64/", "/usr/lib/", "/usr/lib64/"}) {
    if (!error && path.starts_with(directory)) return true;
  }
  return false;
}

std::string read_all(int fd) {
  std::string text;
  std::array<char, 4096> buffer;
  for (;;) {
    const ssize_t n = ::read(fd, buffer.data(), buffer.size());
    if (n > 0) text.append(buffer.data(), static_cast<std::size_t>(n));
    if (n == 0 || (n < 0 && errno != EINTR)) return text;
  }
}

/// What a command prints on standard output; empty if it cannot be started.
std::string output_of(std::vector<std::string> arguments, std::vector<std::string> environment) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return {};
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  ::posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  const auto pointers = [](std::vector<std::string>& texts) {
    std::vector<char*> list;
    for (std::string& text : texts) list.push_back(text.data());
    list.push_back(nullptr);
    return list;
  };
  pid_t child = 0;
  const int error = ::posix_spawnp(&child, arguments[0].c_str(), &actions, nullptr,
                                   pointers(arguments).data(), pointers(environment).data());
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  std::string text = error == 0 ? read_all(ends[0]) : std::string();
  ::close(ends[0]);
  if (error == 0) ::waitpid(child, nullptr, 0);
  return text;
}

}  // namespace

std::vector<std::string> loader_libraries(const std::string& interpreter, const std::string& program) {
  std::vector<std::string> libraries;
  if (interpreter.empty() || !is_system_loader(interpreter)) return libraries;
  std::vector<std::string> environment = {"LD_TRACE_LOADED_OBJECTS=1"};
  if (const char* path = ::getenv("LD_LIBRARY_PATH"); path != nullptr) {
    environment.push_back(std::string("LD_LIBRARY_PATH=") + path);
  }
  std::string text = output_of({interpreter, program}, environment);
  // The loader of another machine's programs needs the wrapper, and that the program.
  if (std::vector<std::string> command = exec_wrapper(); text.empty() && !command.empty()) {
    command.push_back(program);
    text = output_of(std::move(command), std::move(environment));
  }
  // "\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f...)", "\t/lib64/ld-linux-x86-64.so.2 (0x...)"
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t begin = line.find('/');
    const std::size_t arrow = line.find("=> ");
    const std::size_t end = line.rfind(" (0x");
    const std::size_t path = arrow == std::string::npos ? begin : arrow + 3;
    if (path < line.size() && line[path] == '/' && end != std::string::npos && path < end) {
      libraries.push_back(line.substr(path, end - path));
    }
  }
  return libraries;
}

}  // namespace calltap::cli
