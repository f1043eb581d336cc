// The few system calls that code inside a hooked call may make, without libc (see isa/x86_64/syscall.h for
// why).
#pragma once

#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <cstddef>
#include <cstdint>
#include <ctime>

#include "isa/native.h"

namespace calltap::isa {

inline constexpr bool is_error(long result) { return result < 0 && result >= -4095; }

/// For slow paths that are about to block signals: a stack that overflows does so here, where the program's
/// handler still gets its SIGSEGV, and not where the kernel would end the program because that is blocked.
/// On the longest way through them slow paths need about 700 bytes, adding up what -fstack-usage says.
inline void expect_stack() {
  constexpr std::uintptr_t kBytes = 1536;
  const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  static_cast<void>(*reinterpret_cast<const volatile char*>(here - kBytes));
}

/// Blocks every signal of the calling thread for the life of the object, but for SIGTRAP: whoever meets a
/// breakpoint or is single-stepped while that is blocked is killed, and clients' handlers that run under this
/// may call functions which are just being patched by the trap protocol. Signal-safe.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    constexpr std::uint64_t kTrap = std::uint64_t{1} << (5 - 1);
    const std::uint64_t all = ~kTrap;
    native::system_call(SYS_rt_sigprocmask, 2 /* SIG_SETMASK */, reinterpret_cast<long>(&all),
                        reinterpret_cast<long>(&old_), sizeof old_);
  }
  ~SignalsBlocked() {
    native::system_call(SYS_rt_sigprocmask, 2, reinterpret_cast<long>(&old_), 0, sizeof old_);
  }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  std::uint64_t old_ = 0;
};

/// Anonymous private memory, or null. Signal-safe.
inline void* map_memory(std::size_t bytes, int extra_flags = 0) {
  const long result = native::system_call(SYS_mmap, 0, static_cast<long>(bytes), PROT_READ | PROT_WRITE,
                                          MAP_PRIVATE | MAP_ANONYMOUS | extra_flags, -1, 0);
  return is_error(result) ? nullptr : reinterpret_cast<void*>(result);
}

inline void unmap_memory(void* memory, std::size_t bytes) {
  native::system_call(SYS_munmap, reinterpret_cast<long>(memory), static_cast<long>(bytes));
}

inline long current_tid() { return native::system_call(SYS_gettid); }
inline long current_pid() { return native::system_call(SYS_getpid); }

/// Waits while *word == expected, at most `timeout_ns`. Shared futexes work across processes. Signal-safe.
inline long futex_wait(const void* word, std::uint32_t expected, std::uint64_t timeout_ns, bool shared) {
  const timespec timeout = {static_cast<std::time_t>(timeout_ns / 1000000000),
                            static_cast<long>(timeout_ns % 1000000000)};
  return native::system_call(SYS_futex, reinterpret_cast<long>(word),
                             FUTEX_WAIT | (shared ? 0 : FUTEX_PRIVATE_FLAG), static_cast<long>(expected),
                             reinterpret_cast<long>(&timeout));
}
/// Signal-safe.
inline void sleep_for(std::uint64_t ns) {
  const timespec time = {static_cast<std::time_t>(ns / 1000000000), static_cast<long>(ns % 1000000000)};
  native::system_call(SYS_nanosleep, reinterpret_cast<long>(&time), 0);
}
inline void futex_wake(const void* word, int count, bool shared) {
  native::system_call(SYS_futex, reinterpret_cast<long>(word), FUTEX_WAKE | (shared ? 0 : FUTEX_PRIVATE_FLAG),
                      count);
}

}  // namespace calltap::isa
