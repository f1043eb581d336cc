#include "cli/record_target.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <sstream>

#include "buffer/control_protocol.h"
#include "cli/exec_wrapper.h"
#include "cli/loader_libraries.h"
#include "cli/row_filter.h"
#include "site/sites.h"

namespace calltap::cli {
namespace {

namespace fs = std::filesystem;

bool is_executable_file(const std::string& path) {
  std::error_code error;
  return fs::is_regular_file(path, error) && ::access(path.c_str(), X_OK) == 0;
}

bool is_script(const std::string& path) {
  char start[2] = {};
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const bool script =
      fd >= 0 && ::read(fd, start, sizeof start) == sizeof start && start[0] == '#' && start[1] == '!';
  if (fd >= 0) ::close(fd);
  return script;
}

/// AddressSanitizer insists on being the first library, lest another one define what it intercepts; ours
/// defines nothing of the kind.
void calm_address_sanitizer(const std::string& path) {
  const auto file = site::ElfFile::open(path.c_str());
  if (!file) return;
  for (const std::string& library : loader_libraries(std::string(file->interpreter()), path)) {
    if (library.find("/libasan.so") == std::string::npos) continue;
    const char* old = std::getenv("ASAN_OPTIONS");
    const std::string options = old == nullptr || *old == '\0' ? "" : std::string(old) + ":";
    ::setenv("ASAN_OPTIONS", (options + "verify_asan_link_order=0").c_str(), 1);
    return;
  }
}

/// The loader ignores LD_PRELOAD for programs that gain privileges.
bool gains_privileges(const std::string& path) {
  struct stat status = {};
  if (::stat(path.c_str(), &status) != 0) return false;
  return ((status.st_mode & S_ISUID) != 0 && status.st_uid != ::geteuid()) ||
         ((status.st_mode & S_ISGID) != 0 && status.st_gid != ::getegid());
}

std::vector<SiteRow> rows_of(const ModuleSources& sources) {
  std::vector<SiteRow> rows;
  for (const SourceModule& module : sources.modules) {
    try {
      append_sites(module, rows);
    } catch (const SourceError&) {
      // A library that cannot be read is not recorded; whether anything can be is seen below.
    }
  }
  return rows;
}

void check_rows(std::span<const SiteRow> rows, const RecordOptions& options) {
  const filter::Filter filter = make_filter(options.functions, options.excluded);
  const bool any =
      std::any_of(rows.begin(), rows.end(), [&](const SiteRow& row) { return filter.selects(name_of(row)); });
  if (!any) throw SourceError(describe_no_match(filter, rows));
}

bool has_sites(const SourceModule& module) {
  const auto sites = site::discover(module.file);
  return sites && !sites->empty();
}

void check_sites(const std::string& path, const RecordOptions& options) {
  const ModuleSources sources = modules_of_program(path, true);
  // Without patterns names do not matter, which are most of the work in a large program.
  const bool takes_all = options.functions.empty() && options.excluded.empty();
  if (takes_all && std::any_of(sources.modules.begin(), sources.modules.end(), has_sites)) return;
  const std::vector<SiteRow> rows = rows_of(sources);
  if (rows.empty()) {
    throw SourceError(describe_no_sites(path) +
                      "; if only programs or modules that it loads later have some, use --force");
  }
  check_rows(rows, options);
}

/// What is executed: the program, or the wrapper with the program's path instead of its name.
struct Command {
  std::string file;
  std::vector<std::string> words;
};

Command command_of(const std::string& path, const RecordOptions& options) {
  Command command{path, exec_wrapper()};
  if (command.words.empty()) {
    command.words = options.command;
    return command;
  }
  try {
    command.file = find_command(command.words[0]);
  } catch (const SourceError& error) {
    throw SourceError(fmt::format("CALLTAP_EXEC_WRAPPER: {}", error.what()));
  }
  command.words.push_back(path);
  command.words.insert(command.words.end(), options.command.begin() + 1, options.command.end());
  return command;
}

/// The loader gives the runtime to the program and to what that executes.
void preload(const std::string& path, const std::string& runtime, const char* variable, const char* value) {
  calm_address_sanitizer(path);
  const char* preloaded = std::getenv("LD_PRELOAD");
  const std::string all = preloaded == nullptr || *preloaded == '\0' ? runtime : runtime + ":" + preloaded;
  ::setenv("LD_PRELOAD", all.c_str(), 1);
  ::setenv(variable, value, 1);
}

/// Returns only where it fails, with errno.
int execute(const Command& command) {
  std::vector<char*> arguments;
  for (const std::string& word : command.words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  ::execv(command.file.c_str(), arguments.data());
  return errno;
}

[[noreturn]] void execute_child(const Command& command, const sigset_t& signals, int report) {
  ::sigprocmask(SIG_SETMASK, &signals, nullptr);
  const int error = execute(command);
  static_cast<void>(!::write(report, &error, sizeof error));
  ::_exit(127);
}

}  // namespace

std::string find_command(const std::string& word) {
  std::error_code error;
  if (word.find('/') != std::string::npos) {
    if (!fs::exists(word, error)) throw SourceError(fmt::format("{}: no such program", word));
    if (fs::is_directory(word, error))
      throw SourceError(fmt::format("{}: is a directory, not a program", word));
    if (!is_executable_file(word)) throw SourceError(fmt::format("{}: not executable", word));
    return word;
  }
  const char* path = std::getenv("PATH");
  std::istringstream directories(path == nullptr ? "/usr/local/bin:/usr/bin:/bin" : path);
  for (std::string directory; std::getline(directories, directory, ':');) {
    std::string candidate = fmt::format("{}/{}", directory.empty() ? "." : directory, word);
    if (is_executable_file(candidate)) return candidate;
  }
  if (is_executable_file(word)) {
    throw SourceError(
        fmt::format("{}: no such program in $PATH; for the one in this directory write ./{}", word, word));
  }
  throw SourceError(fmt::format("{}: no such program in $PATH", word));
}

void check_target(const std::string& path, const RecordOptions& options) {
  static_cast<void>(command_of(path, options));      // reports a wrapper that does not exist
  make_filter(options.functions, options.excluded);  // reports syntax errors, also with --force
  if (is_script(path)) {
    if (options.force) return;
    throw SourceError(fmt::format(
        "{}: a script, not an ELF file; record the program that it runs, or use --force to record "
        "the programs that it starts",
        path));
  }
  const auto file = site::ElfFile::open(path.c_str());
  if (!file) throw SourceError(fmt::format("{}: {}", path, base::text(file.error().code)));
  if (is_static_program(*file)) throw SourceError(describe_static(path));
  if (file->interpreter().empty()) {
    throw SourceError(
        fmt::format("{}: a shared library, not a program; record a program that loads it", path));
  }
  if (gains_privileges(path)) {
    throw SourceError(fmt::format(
        "{}: set-user-id or set-group-id, so the loader would ignore the runtime; run calltap as that user",
        path));
  }
  if (!options.force) check_sites(path, options);
}

std::string find_runtime() {
  std::error_code error;
  const fs::path directory = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (const char* relative : {"../lib/libcalltap.so", "../" CALLTAP_LIBDIR "/libcalltap.so"}) {
    const fs::path candidate = fs::weakly_canonical(directory / relative, error);
    if (!fs::exists(candidate, error)) continue;
    if (candidate.string().find_first_of(" :") != std::string::npos) {
      throw SourceError(fmt::format(
          "{}: the loader cannot preload from a path with a space or a colon; install calltap elsewhere",
          candidate.string()));
    }
    return candidate.string();
  }
  throw SourceError(
      fmt::format("libcalltap.so is not in ../lib or ../{} beside this program", CALLTAP_LIBDIR));
}

pid_t start_target(const std::string& path, const RecordOptions& options, const std::string& runtime,
                   const std::string& session) {
  const Command command = command_of(path, options);
  int report[2];
  if (::pipe2(report, O_CLOEXEC) != 0)
    throw SourceError(fmt::format("cannot start: {}", std::strerror(errno)));
  const pid_t child = ::fork();
  if (child == 0) {
    preload(path, runtime, buffer::kSessionVariable, session.c_str());
    if (options.budget != 0) ::setenv(buffer::kControlVariable, "1", 1);
    execute_child(command, options.signals, report[1]);
  }
  const int fork_error = errno;
  ::close(report[1]);
  int error = 0;
  const bool failed = ::read(report[0], &error, sizeof error) == sizeof error;
  ::close(report[0]);
  if (child < 0) throw SourceError(fmt::format("cannot start: {}", std::strerror(fork_error)));
  if (failed) throw SourceError(fmt::format("{}: {}", command.file, std::strerror(error)));
  return child;
}

void become_target(const std::string& path, const RecordOptions& options, const std::string& runtime,
                   const char* variable, const char* value) {
  const Command command = command_of(path, options);
  preload(path, runtime, variable, value);
  throw SourceError(fmt::format("{}: {}", command.file, std::strerror(execute(command))));
}

void check_matches(pid_t pid, const RecordOptions& options) {
  if (options.force) return;
  const std::vector<SiteRow> rows = rows_of(modules_of_process(pid));
  if (rows.empty()) throw SourceError(describe_no_sites(fmt::format("process {}", pid)));
  check_rows(rows, options);
}

}  // namespace calltap::cli
