#include "inject/refusal.h"

#include <elf.h>
#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "inject/inject.h"
#include "inject/modules.h"
#include "inject/process_files.h"

namespace calltap::inject {
namespace {

template <class... Arguments>
[[noreturn]] void refuse(pid_t pid, fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  throw InjectError(
      fmt::format("process {} {}", pid, fmt::format(format, std::forward<Arguments>(arguments)...)));
}

std::string field(const StatusFields& status, const char* name) {
  auto found = status.find(name);
  return found == status.end() ? "" : found->second;
}

long number(const StatusFields& status, const char* name) {
  return std::strtol(field(status, name).c_str(), nullptr, 10);
}

std::string user_name(uid_t uid) {
  const passwd* entry = ::getpwuid(uid);  // NOLINT(concurrency-mt-unsafe): the tool asks in one thread
  return entry != nullptr ? entry->pw_name : fmt::format("number {}", uid);
}

std::string program_name(long pid) { return field(status_of(static_cast<pid_t>(pid)), "Name"); }

/// Real, effective, saved and file system user all ours.
bool same_user(const StatusFields& status) {
  std::istringstream ids(field(status, "Uid"));
  for (uid_t uid = 0; ids >> uid;) {
    if (uid != ::geteuid()) return false;
  }
  return true;
}

void refuse_state(pid_t pid, const StatusFields& status) {
  const std::string state = field(status, "State");
  if (state.starts_with('Z') && threads_of(pid).size() > 1)
    refuse(
        pid,
        "has ended its first thread and runs on with others, which hides its memory: this is not supported");
  if (state.starts_with('Z') || state.starts_with('X'))
    refuse(pid, "has ended; it is a zombie until its parent {} has asked for its status",
           number(status, "PPid"));
  if (number(status, "Tgid") != pid)
    refuse(pid, "is a thread of process {}: give that number", number(status, "Tgid"));
  if (field(status, "Kthread") == "1" || !status.contains("VmSize"))
    refuse(pid, "is a thread of the kernel ({}): only programs can load libraries", field(status, "Name"));
  if (const long tracer = number(status, "TracerPid"); tracer != 0)
    refuse(pid, "is being traced by process {} ({}): detach that one first", tracer, program_name(tracer));
  if (state.starts_with('T')) refuse(pid, "is stopped by a signal: continue it first (kill -CONT {})", pid);
}

void refuse_hardening(pid_t pid, const StatusFields& status) {
  const long seccomp = number(status, "Seccomp");
  if (seccomp == 1)
    refuse(pid,
           "is in seccomp's strict mode: loading a library needs system calls that would kill it; "
           "start it under calltap instead");
  if (seccomp != 0)
    refuse(pid,
           "has a seccomp filter: the system calls that loading a library needs may kill it; "
           "start it under calltap, or without the filter");
  if (field(status, "x86_Thread_features").find("shstk") != std::string::npos)
    refuse(
        pid,
        "uses shadow stacks, which a borrowed thread would violate; start it under calltap, or without them "
        "(GLIBC_TUNABLES=glibc.cpu.x86_shstk=off)");
}

void refuse_executable(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/exe", pid), std::ios::binary);
  if (!file) {
    const int error = errno;
    if (error == EACCES || error == EPERM) throw_refused(pid, error);
    refuse(pid, "has an executable that cannot be read: {}", std::strerror(error));
  }
  Elf64_Ehdr header{};
  file.read(reinterpret_cast<char*>(&header), sizeof header);
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) refuse(pid, "does not run an ELF file");
  if (header.e_ident[EI_CLASS] != ELFCLASS64)
    refuse(pid, "is a 32-bit program; only 64-bit programs are supported");
  if (header.e_machine != EM_X86_64)
    refuse(pid,
           "is a program for another machine (ELF machine {}), perhaps in an emulator: start it under "
           "calltap in the emulator",
           header.e_machine);
}

int yama_scope() {
  std::ifstream file("/proc/sys/kernel/yama/ptrace_scope");
  int scope = 0;
  return file >> scope ? scope : 0;
}

}  // namespace

std::string permission_advice(int scope, bool same) {
  if (!same) return "it belongs to another user: become that user or root";
  switch (scope) {
    case 1:
      return "Yama lets only parents trace their children here (/proc/sys/kernel/yama/ptrace_scope is 1): "
             "become root, or set it to 0";
    case 2:
      return "Yama lets only root trace here (/proc/sys/kernel/yama/ptrace_scope is 2): become root";
    case 3:
      return "Yama lets nobody trace here until the next boot (/proc/sys/kernel/yama/ptrace_scope is 3): "
             "start it "
             "under calltap instead";
    default:
      return "it is not dumpable (set-user-id, file capabilities, or prctl PR_SET_DUMPABLE), or has "
             "privileges "
             "or a security module that forbid it: become root";
  }
}

void throw_refused(pid_t pid, int error) {
  const StatusFields status = status_of(pid);
  if (status.empty() || error == ESRCH) refuse(pid, "has ended");
  if (error != EPERM && error != EACCES) refuse(pid, "cannot be traced: {}", std::strerror(error));
  refuse_state(pid, status);
  refuse(pid, "may not be traced: {}", permission_advice(yama_scope(), same_user(status)));
}

void refuse_unsuitable(pid_t pid) {
  if (pid == ::getpid()) refuse(pid, "is this one: it cannot trace itself");
  const StatusFields status = status_of(pid);
  if (pid <= 0 || status.empty()) throw InjectError(fmt::format("no such process: {}", pid));
  refuse_state(pid, status);
  if (::geteuid() != 0 && !same_user(status))
    refuse(pid, "belongs to user {}: become that user or root",
           user_name(static_cast<uid_t>(number(status, "Uid"))));
  refuse_hardening(pid, status);
  refuse_executable(pid);
}

void refuse_unsuitable(pid_t pid, const std::vector<Module>& modules) {
  auto has = [&](auto matches) { return std::any_of(modules.begin(), modules.end(), matches); };
  if (has([](const Module& m) {
        return m.function("gnu_get_libc_version") != nullptr && m.soname == "libc.so.6";
      }))
    return;
  if (has([](const Module& m) {
        return m.path.find("ld-musl") != std::string::npos || m.soname.starts_with("libc.musl");
      }))
    refuse(pid, "uses musl as its C library; only glibc is supported: start it under calltap instead");
  if (has([](const Module& m) { return m.has_interpreter; }))
    refuse(pid, "uses a C library that is not glibc, or has just started");
  refuse(pid, "is a static program, which cannot load libraries: link it with libcalltap");
}

}  // namespace calltap::inject
