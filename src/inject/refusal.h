// Why a process cannot be injected into, found out before anything is done to it.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace calltap::inject {

struct Module;

/// Throws InjectError for what /proc tells of the process and of the file it runs.
void refuse_unsuitable(pid_t pid);

/// Throws InjectError for a process whose loaded modules are not a dynamic program on glibc.
void refuse_unsuitable(pid_t pid, const std::vector<Module>& modules);

/// Throws the InjectError of a process that the system does not let us trace.
[[noreturn]] void throw_refused(pid_t pid, int error);

/// What to do about EPERM. `scope` is what /proc/sys/kernel/yama/ptrace_scope says, 0 without Yama.
std::string permission_advice(int scope, bool same_user);

}  // namespace calltap::inject
