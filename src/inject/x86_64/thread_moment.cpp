#include "inject/x86_64/thread_moment.h"

#include <fmt/format.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "inject/call_frames.h"
#include "inject/x86_64/signal_frame.h"

namespace calltap::inject {
namespace {

// What the kernel keeps to itself (include/linux/errno.h) and shows only to tracers.
constexpr std::int64_t kRestartSystemCall = -512;
constexpr std::int64_t kRestartAlways = -513;
constexpr std::int64_t kRestartWithoutHandler = -514;
constexpr std::int64_t kRestartWithBlock = -516;

constexpr std::uint64_t kUserCode64 = 0x33;
constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kCallInstruction = 2;  // syscall
constexpr std::uint64_t kRedZone = 128;
constexpr std::size_t kMostStack = 1 << 20;

bool was_restarting(const user_regs_struct& registers) {
  const auto result = static_cast<std::int64_t>(registers.rax);
  return static_cast<std::int64_t>(registers.orig_rax) >= 0 &&
         (result == kRestartSystemCall || result == kRestartAlways || result == kRestartWithoutHandler ||
          result == kRestartWithBlock);
}

/// close() has closed the file even if it says EINTR.
bool was_ended_by_stop(const user_regs_struct& registers) {
  return static_cast<std::int64_t>(registers.orig_rax) >= 0 && registers.orig_rax != SYS_close &&
         static_cast<std::int64_t>(registers.rax) == -EINTR;
}

/// A call that was cut short before has become restart_syscall, in the same place. Which one it was is in the
/// instruction that loaded its number, of the few calls that this happens to.
std::uint64_t restarted_call(const TargetMemory& memory, std::uint64_t counter) {
  constexpr std::size_t kLookBack = 64;
  constexpr std::uint8_t kLoadNumber = 0xB8;  // mov $number, %eax
  const std::vector<std::uint8_t> code = memory.bytes(counter - kCallInstruction - kLookBack, kLookBack);
  for (std::size_t at = code.size(); at-- > 0;) {
    if (code[at] != kLoadNumber || at + 5 > code.size()) continue;
    std::uint32_t number = 0;
    std::memcpy(&number, code.data() + at + 1, sizeof number);
    if (number == SYS_poll || number == SYS_nanosleep || number == SYS_clock_nanosleep || number == SYS_futex)
      return number;
  }
  return SYS_restart_syscall;
}

bool in_restartable_sequence(const Target& target, Tracee& thread, std::uint64_t counter) {
  // struct rseq { u32 cpu_id_start, cpu_id; u64 rseq_cs; }; struct rseq_cs { u32, u32; u64 start, length,
  // abort; }
  const std::uint64_t area = thread.rseq_area();
  if (area == 0) return false;
  const std::uint64_t section = target.memory.value<std::uint64_t>(area + 8).value_or(0);
  if (section == 0) return false;
  struct Section {
    std::uint32_t version, flags;
    std::uint64_t start, length, abort;
  };
  const auto found = target.memory.value<Section>(section);
  return !found || counter - found->start < found->length;
}

unwind::Registers frame_registers(const user_regs_struct& r) {
  unwind::Registers registers;
  unsigned number = 0;
  for (const std::uint64_t value : {r.rax, r.rdx, r.rcx, r.rbx, r.rsi, r.rdi, r.rbp, r.rsp, r.r8, r.r9, r.r10,
                                    r.r11, r.r12, r.r13, r.r14, r.r15}) {
    registers.set(number++, value);
  }
  registers.counter = r.rip;
  return registers;
}

/// Looks through the words of the stack: every return address is one, and so is much else that was left
/// behind.
class StackWords {
 public:
  StackWords(const Target& target, bool waiting) : target_(target), waiting_(waiting) {}

  /// From `stack` to the end of its mapping, and where it continues behind a signal frame: a handler may have
  /// a stack of its own. False if not all of it was seen.
  bool scan(std::uint64_t stack, int signal_frames_left = 4) {
    const Mapping* mapping = find_mapping(target_.mappings, stack);
    // The stack has grown, or its thread is new, since the map was read.
    const std::uint64_t end = mapping != nullptr ? mapping->end : stack + kMostStack;
    bool whole = mapping != nullptr && end - stack <= kMostStack;
    const std::vector<std::uint8_t> bytes =
        target_.memory.bytes(stack, std::min<std::uint64_t>(end - stack, kMostStack));
    for (std::size_t at = 0; at + 8 <= bytes.size(); at += 8) {
      std::uint64_t word = 0;
      std::memcpy(&word, bytes.data() + at, sizeof word);
      if (word == target_.gadgets.signal_return) {
        const std::uint64_t context = stack + at + 8;
        constexpr std::size_t kStackAt = offsetof(ucontext_t, uc_mcontext.gregs) + REG_RSP * sizeof(greg_t);
        const auto outer = target_.memory.value<std::uint64_t>(context + kStackAt);
        if (outer && *outer != 0 && (*outer < stack || *outer >= end))
          whole = signal_frames_left > 0 && scan(*outer, signal_frames_left - 1) && whole;
      }
      look_at(word);
    }
    return whole;
  }

  void look_at(std::uint64_t address) {
    const UnsafeRange* range = target_.unsafe.find(address);
    if (range != nullptr && !(waiting_ && range->safe_while_waiting)) found_ = range;
  }
  [[nodiscard]] const UnsafeRange* found() const { return found_; }

 private:
  const Target& target_;
  bool waiting_;
  const UnsafeRange* found_ = nullptr;
};

/// Never written, or by a tool that was killed: then the rest is zero.
bool is_unused(std::uint64_t address, const std::vector<std::uint8_t>& bytes) {
  std::size_t begin = 0;
  if (bytes.size() > 8) {
    const std::size_t frame = signal_frame_found(address + 8, {bytes.begin() + 8, bytes.end()});
    if (frame != 0) begin = std::min(bytes.size(), 8 + frame);
  }
  return std::all_of(bytes.begin() + static_cast<std::ptrdiff_t>(begin), bytes.end(),
                     [](std::uint8_t byte) { return byte == 0; });
}

}  // namespace

bool is_in_call(const user_regs_struct& registers) {
  return was_restarting(registers) || was_ended_by_stop(registers);
}

user_regs_struct continued(user_regs_struct registers) {
  // Without a time-out there is nothing for the kernel to remember, and the call keeps its name.
  const bool endless_poll = registers.orig_rax == SYS_poll && static_cast<int>(registers.rdx) < 0 &&
                            static_cast<std::int64_t>(registers.rax) == kRestartWithBlock;
  if (was_ended_by_stop(registers) || endless_poll)
    registers.rax = static_cast<std::uint64_t>(kRestartWithoutHandler);
  return registers;
}

user_regs_struct repeated(const TargetMemory& memory, user_regs_struct registers) {
  if (!is_in_call(registers)) return registers;
  registers.rax =
      registers.orig_rax == SYS_restart_syscall ? restarted_call(memory, registers.rip) : registers.orig_rax;
  registers.rip -= kCallInstruction;
  return registers;
}

std::string why_not_now(const Target& target, Tracee& thread, const user_regs_struct& registers) {
  auto because = [&](std::string_view what) {
    return fmt::format("thread {} is in {}", thread.thread(), what);
  };
  if (registers.cs != kUserCode64) return because("32-bit code");
  if (in_restartable_sequence(target, thread, registers.rip)) return because("a restartable sequence");
  const bool waiting = is_in_call(registers);
  StackWords words(target, waiting);
  words.look_at(registers.rip);
  if (words.found() != nullptr) return because(words.found()->what);
  const bool whole = words.scan(registers.rsp);
  if (whole && words.found() == nullptr) return {};
  // Return addresses of calls that have long returned lie on stacks too: only unwinding tells them from those
  // in use.
  const CallChain chain = call_chain(target.modules, target.memory, frame_registers(registers));
  StackWords frames(target, waiting);
  for (const std::uint64_t address : chain.addresses) frames.look_at(address);
  if (frames.found() != nullptr) return because(frames.found()->what);
  if (chain.complete) return {};
  return because(words.found() != nullptr
                     ? fmt::format("code without unwind tables, perhaps below {}", words.found()->what)
                     : "code without unwind tables, on a large stack");
}

// The stack that the thread was made with has an end that it rarely comes to; what was never written there is
// zero. This holds whatever stack the thread is on: a coroutine's, of which nobody knows how much is left, or
// a signal handler's. Otherwise below the red zone, if it is on that first stack: where the kernel would put
// a signal's frame.
std::optional<std::uint64_t> unused_place(const Target& target, const Tracee& thread,
                                          const user_regs_struct& registers, std::size_t size) {
  std::vector<Mapping> fresh;
  const std::vector<Mapping>* mappings = &target.mappings;
  if (find_mapping(*mappings, registers.fs_base) == nullptr ||
      find_mapping(*mappings, registers.rsp) == nullptr) {
    fresh = mappings_of(target.pid);
    mappings = &fresh;
  }
  const Mapping* own = nullptr;
  bool has_end = false;
  if (thread.thread() == target.pid) {
    auto found = std::find_if(mappings->begin(), mappings->end(),
                              [](const Mapping& m) { return m.path == "[stack]"; });
    if (found != mappings->end()) own = &*found;
    has_end = own != nullptr;
  } else {
    own = find_mapping(*mappings, registers.fs_base);
    has_end = own != nullptr && own != mappings->data() && (own - 1)->end == own->begin &&
              !(own - 1)->readable && !(own - 1)->writable;
  }
  if (own == nullptr || !own->writable) return std::nullopt;
  const std::uint64_t needed = (size + kPage - 1) & -kPage;
  const bool is_on_it = registers.rsp >= own->begin && registers.rsp < own->end;
  if (has_end && own->end - own->begin >= 2 * needed + kPage &&
      (!is_on_it || registers.rsp >= own->begin + needed + kPage) &&
      is_unused(own->begin, target.memory.bytes(own->begin, needed)))
    return own->begin;
  const std::uint64_t below = (registers.rsp - kRedZone - size) & ~std::uint64_t{63};
  if (is_on_it && below >= own->begin && below < registers.rsp) return below;
  return std::nullopt;
}

}  // namespace calltap::inject
