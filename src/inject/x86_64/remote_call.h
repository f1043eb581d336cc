// What the tool and the code in remote_call.S agree on: one block of the memory that is mapped into the
// process for a call. The assembler reads this file too.
#pragma once

// Offsets in RemoteBlock.
#define CALLTAP_REMOTE_ERRNO_LOCATION 0
#define CALLTAP_REMOTE_DLOPEN 8
#define CALLTAP_REMOTE_DLSYM 16
#define CALLTAP_REMOTE_DLERROR 24
#define CALLTAP_REMOTE_KNOWN 32
#define CALLTAP_REMOTE_ARGUMENT 40
#define CALLTAP_REMOTE_USE_MEMFD 48
#define CALLTAP_REMOTE_FD 56
#define CALLTAP_REMOTE_HANDLE 64
#define CALLTAP_REMOTE_FOUND 72
#define CALLTAP_REMOTE_VALUE 80
#define CALLTAP_REMOTE_ERROR 88
#define CALLTAP_REMOTE_CALLED 96
#define CALLTAP_REMOTE_DLOPEN_FLAGS 104
#define CALLTAP_REMOTE_MXCSR 112
#define CALLTAP_REMOTE_MEMFD_NAME 120
#define CALLTAP_REMOTE_FUNCTION 136
#define CALLTAP_REMOTE_PATH 392
#define CALLTAP_REMOTE_FRAME 1024

// The system call that says that everything is done. Any would do that changes nothing and that nothing else
// calls there.
#define CALLTAP_REMOTE_DONE 110 /* getppid */

#ifndef __ASSEMBLER__
#include <cstddef>
#include <cstdint>

namespace calltap::inject {

struct RemoteBlock {
  std::uint64_t errno_location = 0;
  std::uint64_t dlopen = 0;
  std::uint64_t dlsym = 0;
  std::uint64_t dlerror = 0;  // 0 if there is none
  std::uint64_t known = 0;    // the function, if the library is there already
  std::uint64_t argument = 0;
  std::uint64_t use_memfd = 0;
  std::int64_t fd = -1;
  std::uint64_t handle = 0;
  std::uint64_t found = 0;
  std::uint64_t value = 0;
  std::uint64_t error = 0;
  std::uint64_t called = 0;
  std::uint64_t dlopen_flags = 0;
  std::uint64_t mxcsr = 0x1F80;
  char memfd_name[16] = "calltap";
  char function[256] = {};
  char path[632] = {};
};
static_assert(offsetof(RemoteBlock, errno_location) == CALLTAP_REMOTE_ERRNO_LOCATION);
static_assert(offsetof(RemoteBlock, dlopen) == CALLTAP_REMOTE_DLOPEN);
static_assert(offsetof(RemoteBlock, dlsym) == CALLTAP_REMOTE_DLSYM);
static_assert(offsetof(RemoteBlock, dlerror) == CALLTAP_REMOTE_DLERROR);
static_assert(offsetof(RemoteBlock, known) == CALLTAP_REMOTE_KNOWN);
static_assert(offsetof(RemoteBlock, argument) == CALLTAP_REMOTE_ARGUMENT);
static_assert(offsetof(RemoteBlock, use_memfd) == CALLTAP_REMOTE_USE_MEMFD);
static_assert(offsetof(RemoteBlock, fd) == CALLTAP_REMOTE_FD);
static_assert(offsetof(RemoteBlock, handle) == CALLTAP_REMOTE_HANDLE);
static_assert(offsetof(RemoteBlock, found) == CALLTAP_REMOTE_FOUND);
static_assert(offsetof(RemoteBlock, value) == CALLTAP_REMOTE_VALUE);
static_assert(offsetof(RemoteBlock, error) == CALLTAP_REMOTE_ERROR);
static_assert(offsetof(RemoteBlock, called) == CALLTAP_REMOTE_CALLED);
static_assert(offsetof(RemoteBlock, dlopen_flags) == CALLTAP_REMOTE_DLOPEN_FLAGS);
static_assert(offsetof(RemoteBlock, mxcsr) == CALLTAP_REMOTE_MXCSR);
static_assert(offsetof(RemoteBlock, memfd_name) == CALLTAP_REMOTE_MEMFD_NAME);
static_assert(offsetof(RemoteBlock, function) == CALLTAP_REMOTE_FUNCTION);
static_assert(offsetof(RemoteBlock, path) == CALLTAP_REMOTE_PATH);
static_assert(sizeof(RemoteBlock) <= CALLTAP_REMOTE_FRAME);

extern "C" const std::uint8_t calltap_remote_call_begin[];
extern "C" const std::uint8_t calltap_remote_call_end[];

}  // namespace calltap::inject
#endif
