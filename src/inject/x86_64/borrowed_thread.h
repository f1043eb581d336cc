// One call in a borrowed thread, from the stop to letting it go.
//
//   the thread                          the tool                                     killed here, the thread
//   ...
//   --------------------------------------------------------------------------------------------------------------
//   stopped                             1 write a signal frame to an unused place    goes on, nothing has
//   happened
//                                       2 set registers: call mmap, return to
//                                         rt_sigreturn on that frame                 makes the call, goes on
//                                       3 block signals                              the same: the frame has
//                                       the mask
//   mmap, mprotect                      4 each time 2 again                          the same; the memory
//   stays stopped                             5 write code, RemoteBlock, a signal frame
//                                         like the first; set registers: the code    does all of it, goes on
//   memfd_create in the code            6 fill the file, write its path              finds no such path, goes
//   on dlopen, close, dlsym, the function  7 look on                                    goes on to the end
//   getppid: done                       8 read the result, set registers: munmap,
//                                         back to the first frame                    makes the call, goes on
//   stopped                             9 vector state, mask, then all general
//                                         registers; 10 wipe the frame, let go       rt_sigreturn, or is
//                                         itself again
//
// Each step is one request to the kernel, and after each the thread, left alone, ends up where it was. What
// differs if nobody is there at the end: a system call that had been cut short is made again from its
// beginning, since rt_sigreturn makes the kernel forget how much of a time-out was left and that a signal may
// have come meanwhile. So a time-out may be prolonged, and a call that waits for a signal misses one that
// came just in this time; it sees no EINTR.
#pragma once

#include <string>
#include <vector>

#include "inject/delivery.h"
#include "inject/target.h"
#include "inject/tracee.h"
#include "inject/x86_64/remote_call.h"

namespace calltap::inject {

/// What is to be done, the same for whichever thread does it.
struct RemoteWork {
  RemoteBlock block;
  std::vector<std::uint8_t> library;    // what the memfd is filled with
  std::vector<std::string> used_paths;  // what the loader would take for a library that it has
  const DroppedFile* file = nullptr;    // without a memfd: removed as soon as it is open
};

struct RemoteResult {
  RemoteBlock block;
  bool not_now = false;  // `error` says why this thread cannot be borrowed
  std::string error;     // empty if the code came to its end
};

/// `registers` as they are in the stop that the thread is in. Whatever comes out, the thread has been let go.
/// Throws InjectError if the process or the thread is gone.
RemoteResult call_in_thread(const Target& target, Tracee& thread, const user_regs_struct& registers,
                            const RemoteWork& work, Clock::time_point until);

/// Lets a thread go that was only looked at.
void let_go(Tracee& thread, const user_regs_struct& registers);

}  // namespace calltap::inject
