// A stopped thread: what it is in the middle of, and how to let it go on.
#pragma once

#include <sys/user.h>

#include <cstdint>
#include <optional>
#include <string>

#include "inject/target.h"
#include "inject/tracee.h"

namespace calltap::inject {

/// True if the stop cut a system call short that has to go on afterwards.
bool is_in_call(const user_regs_struct& registers);

/// The registers to let the thread go on with, for the kernel to act on when it leaves the stop: it repeats
/// the call, or ends it with EINTR if there is a signal whose handler runs, just as it would have. That is
/// what it does by itself for most calls. Some (signal(7)) it ends with EINTR for any stop: those are made to
/// look like the others here.
user_regs_struct continued(user_regs_struct registers);

/// The registers to go on with from user space, where the kernel cannot do that: the call is made again from
/// the beginning.
user_regs_struct repeated(const TargetMemory& memory, user_regs_struct registers);

/// Why the thread cannot be borrowed now: "thread 12 is in malloc". Empty if it can.
std::string why_not_now(const Target& target, Tracee& thread, const user_regs_struct& registers);

/// A place for `size` bytes in the process that nobody uses and that only this thread could come to use.
std::optional<std::uint64_t> unused_place(const Target& target, const Tracee& thread,
                                          const user_regs_struct& registers, std::size_t size);

}  // namespace calltap::inject
