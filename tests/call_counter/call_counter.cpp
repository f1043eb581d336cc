// Counts the calls of a program's functions exactly, without Calltap's way of doing it: an int3 on every
// entry, and a debugger (this program) that counts the traps of all threads and children.
//
//   call_counter SITES OUTPUT PROGRAM [ARGS...]
//
// SITES: a line for each function, its entry's address in the ELF file in hex, a blank, its name. OUTPUT gets
// a line for each function that was called: count, blank, name. Only the main program's functions are
// counted, until it calls exec.
//
// The instruction under each int3 must be a NOP, or the landing pad ENDBR64: so a trapped thread is continued
// behind it, without putting it back for a moment in which another thread would pass uncounted.
#include <elf.h>
#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <string>
#include <unordered_map>

#include "isa/x86_64/decode.h"

namespace {

constexpr std::uint8_t kInt3 = 0xCC;
constexpr unsigned kLandingPadBytes = 4;
constexpr long kOptions =
    PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;

struct Site {
  std::string name;
  unsigned skipped_bytes;
  std::uint64_t calls;
};

using Sites = std::unordered_map<std::uint64_t, Site>;  // by run-time address

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "call_counter: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

template <class T>
T read_value(int file, std::uint64_t offset) {
  T value{};
  if (pread(file, &value, sizeof value, static_cast<off_t>(offset)) != sizeof value) die("read");
  return value;
}

// Run-time minus link-time address: where the kernel says the program starts, against where the file says so.
std::uint64_t load_bias(pid_t pid) {
  const std::string proc = "/proc/" + std::to_string(pid);
  std::ifstream executable(proc + "/exe", std::ios::binary);
  Elf64_Ehdr header{};
  if (!executable.read(reinterpret_cast<char*>(&header), sizeof header)) die("read the program");
  std::ifstream auxiliary(proc + "/auxv", std::ios::binary);
  Elf64_auxv_t entry{};
  while (auxiliary.read(reinterpret_cast<char*>(&entry), sizeof entry)) {
    if (entry.a_type == AT_ENTRY) return entry.a_un.a_val - header.e_entry;
  }
  die("no AT_ENTRY");
}

unsigned skippable_bytes(const std::uint8_t (&code)[16]) {
  if (calltap::isa::x86_64::is_landing_pad(code)) return kLandingPadBytes;
  return calltap::isa::x86_64::nop_length(code);
}

Sites place_traps(pid_t pid, const char* sites_file) {
  const int memory = open(("/proc/" + std::to_string(pid) + "/mem").c_str(), O_RDWR | O_CLOEXEC);
  if (memory < 0) die("open the program's memory");
  const std::uint64_t bias = load_bias(pid);
  std::ifstream lines(sites_file);
  if (!lines) die(sites_file);
  Sites sites;
  for (std::string line; std::getline(lines, line);) {
    const std::size_t blank = line.find(' ');
    const std::uint64_t address = bias + std::stoull(line.substr(0, blank), nullptr, 16);
    std::uint8_t code[16];
    if (pread(memory, code, sizeof code, static_cast<off_t>(address)) != sizeof code)
      die("read the code of " + line);
    const unsigned skipped = skippable_bytes(code);
    errno = EINVAL;
    if (skipped == 0) die("no NOP at the entry of " + line);
    if (pwrite(memory, &kInt3, 1, static_cast<off_t>(address)) != 1) die("write an int3");
    sites.emplace(address, Site{line.substr(blank + 1), skipped, 0});
  }
  close(memory);
  return sites;
}

pid_t start(char** command) {
  const pid_t pid = fork();
  if (pid < 0) die("fork");
  if (pid == 0) {
    ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    execv(command[0], command);
    die(command[0]);
  }
  int status = 0;
  if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)) die(command[0]);
  if (ptrace(PTRACE_SETOPTIONS, pid, nullptr, kOptions) != 0) die("PTRACE_SETOPTIONS");
  return pid;
}

// True if the thread stopped at one of our traps: it is counted and set behind the NOP.
bool count_trap(pid_t thread, Sites& sites) {
  user_regs_struct registers{};
  if (ptrace(PTRACE_GETREGS, thread, nullptr, &registers) != 0) return false;
  const auto site = sites.find(registers.rip - 1);
  if (site == sites.end()) return false;
  ++site->second.calls;
  registers.rip += site->second.skipped_bytes - 1;
  if (ptrace(PTRACE_SETREGS, thread, nullptr, &registers) != 0) die("PTRACE_SETREGS");
  return true;
}

// The signal to deliver when the thread goes on after this stop.
int signal_to_deliver(pid_t thread, int status, Sites& sites) {
  const int number = WSTOPSIG(status);
  if (status >> 16 != 0) return 0;  // clone, fork, exec: an event of ours
  if (number == SIGTRAP && count_trap(thread, sites)) return 0;
  if (number == SIGSTOP) {
    // A new thread or child starts with one; nobody else is expected to stop the program.
    return 0;
  }
  return number;
}

int run(pid_t program, Sites& sites) {
  int result = 1;
  for (int status = 0;;) {
    const pid_t thread = waitpid(-1, &status, __WALL);
    if (thread < 0) return result;
    if (WIFSTOPPED(status)) {
      const long number = signal_to_deliver(thread, status, sites);
      // A thread that was killed meanwhile cannot be continued.
      if (ptrace(PTRACE_CONT, thread, nullptr, number) != 0 && errno != ESRCH) die("PTRACE_CONT");
    } else if (thread == program) {
      result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: call_counter SITES OUTPUT PROGRAM [ARGS...]\n");
    return 2;
  }
  const pid_t program = start(argv + 3);
  Sites sites = place_traps(program, argv[1]);
  ptrace(PTRACE_CONT, program, nullptr, nullptr);
  const int result = run(program, sites);
  std::map<std::string, std::uint64_t> calls;
  for (const auto& [address, site] : sites) calls[site.name] += site.calls;
  std::ofstream output(argv[2]);
  for (const auto& [name, count] : calls) {
    if (count != 0) output << count << ' ' << name << '\n';
  }
  if (!output.flush()) die(argv[2]);
  return result;
}
