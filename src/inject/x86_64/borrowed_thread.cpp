#include "inject/x86_64/borrowed_thread.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "inject/inject.h"
#include "inject/x86_64/signal_frame.h"
#include "inject/x86_64/thread_moment.h"

namespace calltap::inject {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kStackBytes = 256 << 10;

// The memory that is mapped for a call: a guard page, the stack, RemoteBlock with the signal frame, the code.
constexpr std::uint64_t kStackAt = kPage;
constexpr std::uint64_t kBlockAt = kStackAt + kStackBytes;

constexpr std::uint64_t bit(int signal) { return std::uint64_t{1} << (signal - 1); }
constexpr std::uint64_t kFaults =
    bit(SIGSEGV) | bit(SIGBUS) | bit(SIGFPE) | bit(SIGILL) | bit(SIGTRAP) | bit(SIGSYS);

/// Thrown inside, for what ends the call but not the thread.
struct CallFailed {
  std::string why;
};

class Borrowing {
 public:
  Borrowing(const Target& target, Tracee& thread, const user_regs_struct& registers, const RemoteWork& work,
            Clock::time_point until)
      : target_(target), thread_(thread), saved_(registers), work_(work), until_(until) {}

  RemoteResult run() {
    RemoteResult result;
    try {
      prepare();
      map_memory();
      execute();
    } catch (const CallFailed& failure) {
      result.error = failure.why;
      result.not_now = !is_changed_;
    }
    if (is_left_alone_) return result;
    if (memory_ != 0 && !target_.memory.read(block(), &result.block, sizeof result.block))
      result.error = "its memory cannot be read any more";
    if (result.error.empty()) result.error = loader_error(result.block);
    give_back();
    return result;
  }

 private:
  [[nodiscard]] std::uint64_t block() const { return memory_ + kBlockAt; }

  [[noreturn]] void gone(const Stop& stop) const {
    if (stop.kind == Stop::Kind::kExecuted)
      throw InjectError(
          fmt::format("process {} has executed another program meanwhile: try again", target_.pid));
    throw InjectError(fmt::format("process {}, or its thread {}, {} meanwhile", target_.pid, thread_.thread(),
                                  stop.how_ended.empty() ? "has ended" : stop.how_ended));
  }

  void require(bool done) const {
    if (!done) gone({});
  }

  /// Step 1. Nothing is changed for the thread.
  void prepare() {
    require(thread_.get_vectors(vectors_) && thread_.get_signal_mask(mask_));
    const std::size_t frame_bytes = 8 + signal_frame_bytes(vectors_);
    const auto place = unused_place(target_, thread_, saved_, frame_bytes);
    if (!place) throw CallFailed{fmt::format("thread {} is on a stack without room", thread_.thread())};
    std::vector<std::uint8_t> bytes(8);
    std::memcpy(bytes.data(), &target_.gadgets.signal_return, 8);
    const std::vector<std::uint8_t> frame =
        signal_frame(*place + 8, repeated(target_.memory, saved_), mask_, vectors_);
    bytes.insert(bytes.end(), frame.begin(), frame.end());
    if (!target_.memory.write(*place, bytes.data(), bytes.size()))
      throw CallFailed{fmt::format("thread {}'s stack cannot be written", thread_.thread())};
    frame_ = *place;
    frame_bytes_ = bytes.size();
  }

  user_regs_struct registers_at(std::uint64_t counter, std::uint64_t stack) const {
    constexpr std::uint64_t kPlainFlags = 0x202;  // interrupts enabled, and the bit that is always set
    user_regs_struct registers = saved_;
    registers.rip = counter;
    registers.rsp = stack;
    registers.orig_rax = ~std::uint64_t{0};  // in no system call: nothing for the kernel to restart
    registers.eflags = kPlainFlags;
    return registers;
  }

  /// The next stop at a system call. Signals of the program wait; a fault is the remote code's own.
  void to_system_call() {
    int signal = 0;
    for (;;) {
      require(thread_.resume_to_system_call(signal));
      signal = 0;
      const Stop stop = thread_.wait(until_);
      switch (stop.kind) {
        case Stop::Kind::kSystemCall:
          return;
        case Stop::Kind::kTimeout:
          leave_alone();
          break;
        case Stop::Kind::kInterrupted:
          break;  // the process is being stopped: this thread comes to it when it is done
        case Stop::Kind::kSignal:
          if (thread_.signal_is_fault())
            throw CallFailed{fmt::format(
                "the library crashed in it (signal {}, {}); the thread was restored, but may hold "
                "locks",
                stop.signal, ::strsignal(stop.signal))};  // NOLINT(concurrency-mt-unsafe)
          signal = stop.signal;
          break;
        default:
          gone(stop);
      }
    }
  }

  /// Steps 2 to 4, and 8.
  std::int64_t system_call(std::uint64_t number, std::array<std::uint64_t, 6> arguments) {
    user_regs_struct registers = registers_at(target_.gadgets.system_call, frame_);
    registers.rax = number;
    registers.rdi = arguments[0];
    registers.rsi = arguments[1];
    registers.rdx = arguments[2];
    registers.r10 = arguments[3];
    registers.r8 = arguments[4];
    registers.r9 = arguments[5];
    require(thread_.set(registers));
    if (!is_changed_) {
      is_changed_ = true;
      require(thread_.set_signal_mask(~(kFaults & ~mask_)));
    }
    to_system_call();
    to_system_call();
    require(thread_.get(registers));
    return static_cast<std::int64_t>(registers.rax);
  }

  void system_call_or_fail(const char* name, std::uint64_t number, std::array<std::uint64_t, 6> arguments) {
    const std::int64_t result = system_call(number, arguments);
    if (result < 0)
      throw CallFailed{fmt::format("{} failed in it: {}", name, std::strerror(static_cast<int>(-result)))};
  }

  void map_memory() {
    const std::size_t block_bytes =
        (CALLTAP_REMOTE_FRAME + signal_frame_bytes(vectors_) + kPage - 1) & -kPage;
    const std::size_t code_bytes =
        static_cast<std::size_t>(calltap_remote_call_end - calltap_remote_call_begin);
    code_at_ = kBlockAt + block_bytes;
    size_ = code_at_ + kPage;
    const std::int64_t memory =
        system_call(SYS_mmap, {0, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                               ~std::uint64_t{0}, 0});
    if (memory < 0)
      throw CallFailed{fmt::format("mmap failed in it: {}", std::strerror(static_cast<int>(-memory)))};
    memory_ = static_cast<std::uint64_t>(memory);
    const std::vector<std::uint8_t> frame =
        signal_frame(block() + CALLTAP_REMOTE_FRAME, repeated(target_.memory, saved_), mask_, vectors_);
    require(target_.memory.write(block(), &work_.block, sizeof work_.block) &&
            target_.memory.write(block() + CALLTAP_REMOTE_FRAME, frame.data(), frame.size()) &&
            target_.memory.write(memory_ + code_at_, calltap_remote_call_begin, code_bytes));
    system_call_or_fail("mprotect", SYS_mprotect, {memory_, kPage, PROT_NONE, 0, 0, 0});
    system_call_or_fail("mprotect", SYS_mprotect,
                        {memory_ + code_at_, kPage, PROT_READ | PROT_EXEC, 0, 0, 0});
  }

  void execute() {
    user_regs_struct registers = registers_at(memory_ + code_at_, block());
    registers.rbx = block();
    require(thread_.set(registers));
    for (;;) {
      to_system_call();
      to_system_call();
      require(thread_.get(registers));
      const bool is_ours = registers.rip >= memory_ + code_at_ && registers.rip < memory_ + size_;
      if (is_ours && registers.orig_rax == CALLTAP_REMOTE_DONE) return;
      if (is_ours && registers.orig_rax == SYS_memfd_create) fill(static_cast<std::int64_t>(registers.rax));
      if (registers.orig_rax == SYS_openat && static_cast<std::int64_t>(registers.rax) >= 0)
        remove_opened(registers);
    }
  }

  /// Step 6.
  void fill(std::int64_t fd) {
    if (fd < 0) {
      failed_ = fmt::format("memfd_create failed in it: {}", std::strerror(static_cast<int>(-fd)));
      return;
    }
    failed_ = fill_memfd(target_.pid, fd, work_.library);
    if (!failed_.empty()) return;
    // The loader takes an equal name for the same library, also if that one came through another file.
    std::string path = fmt::format("/proc/self/fd/{}", fd);
    while (std::find(work_.used_paths.begin(), work_.used_paths.end(), path) != work_.used_paths.end())
      path = fmt::format("/{}", path);
    if (path.size() < sizeof(RemoteBlock::path))
      target_.memory.write(block() + CALLTAP_REMOTE_PATH, path.c_str(), path.size() + 1);
  }

  void remove_opened(const user_regs_struct& registers) {
    if (work_.file != nullptr && target_.memory.text(registers.rsi) == work_.block.path) work_.file->remove();
  }

  std::string loader_error(const RemoteBlock& found) {
    if (!failed_.empty()) return failed_;
    if (found.called != 0) return {};
    const std::string text =
        found.error != 0 ? target_.memory.text(found.error) : "the loader did not say why";
    return fmt::format("{} failed in it: {}", found.handle == 0 ? "dlopen" : "dlsym", text);
  }

  /// It has not come back in time. The code restores the thread when it does.
  [[noreturn]] void leave_alone() {
    is_left_alone_ = true;
    thread_.interrupt();
    const Stop stop = thread_.wait(Clock::now() + std::chrono::milliseconds(200));
    if (stop.kind == Stop::Kind::kInterrupted) {
      user_regs_struct registers{};
      if (thread_.get(registers)) let_go(thread_, registers);
    } else if (stop.kind == Stop::Kind::kEnded || stop.kind == Stop::Kind::kExecuted) {
      gone(stop);
    }
    throw CallFailed{
        fmt::format("the call in its thread {} did not end in time, perhaps because another thread holds the "
                    "loader's lock; the thread goes on by itself when it does",
                    thread_.thread())};
  }

  /// Steps 8 to 10.
  void give_back() {
    if (is_changed_) {
      try {
        if (memory_ != 0) system_call(SYS_munmap, {memory_, size_, 0, 0, 0, 0});
      } catch (const CallFailed&) {
        if (is_left_alone_) return;
      }
      // Only on the way out of a stop like the first does the kernel look whether a call has to be restarted.
      require(thread_.interrupt());
      for (;;) {
        require(thread_.resume());
        const Stop stop = thread_.wait(Clock::now() + std::chrono::seconds(5));
        if (stop.kind == Stop::Kind::kInterrupted) break;
        if (stop.kind != Stop::Kind::kSignal && stop.kind != Stop::Kind::kSystemCall) gone(stop);
      }
      require(thread_.set_vectors(vectors_));
      require(thread_.set_signal_mask(mask_));
    }
    require(thread_.set(continued(saved_)));
    if (frame_ != 0) {
      const std::vector<std::uint8_t> zeros(frame_bytes_);
      target_.memory.write(frame_, zeros.data(), zeros.size());
    }
    thread_.detach();
  }

  const Target& target_;
  Tracee& thread_;
  user_regs_struct saved_;
  const RemoteWork& work_;
  Clock::time_point until_;

  std::vector<std::uint8_t> vectors_;
  std::uint64_t mask_ = 0;
  std::uint64_t frame_ = 0;
  std::size_t frame_bytes_ = 0;
  std::uint64_t memory_ = 0;
  std::uint64_t code_at_ = 0;
  std::uint64_t size_ = 0;
  std::string failed_;
  bool is_changed_ = false;  // the thread has registers of ours
  bool is_left_alone_ = false;
};

}  // namespace

void let_go(Tracee& thread, const user_regs_struct& registers) {
  thread.set(continued(registers));
  thread.detach();
}

RemoteResult call_in_thread(const Target& target, Tracee& thread, const user_regs_struct& registers,
                            const RemoteWork& work, Clock::time_point until) {
  return Borrowing(target, thread, registers, work, until).run();
}

}  // namespace calltap::inject
