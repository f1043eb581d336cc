// The thread that serves tools while the program runs: buffer/control_protocol.h.
//
// The program should not notice it. It blocks all signals but SIGTRAP (a patcher needs every thread to take
// it) and the one with which glibc changes the ids of all threads; it keeps no descriptor between requests;
// and where the program's own threads have all ended without exit(), it ends too, which ends the process as
// if it had never been.
#pragma once

#include <cstdint>

/// Starts the control thread if there is none; `argument` is not used. Returns its thread id, or a negative
/// errno value. For the injector, which calls it in a thread of the program that holds no lock of libc.
extern "C" __attribute__((visibility("default"))) long ct_start_control(std::uint64_t argument);

namespace calltap::runtime {

/// In a forked child, which has no control thread.
void forget_control_thread();

}  // namespace calltap::runtime
