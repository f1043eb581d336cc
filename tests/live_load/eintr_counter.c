// Preloaded into a server: counts its system calls, and those that ended with EINTR, in the file that
// EINTR_FILE names. server_load.py reads it: for each function in the order of their numbers below, two
// counts of 64 bits.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { kBytes = 4096 };
static unsigned long nowhere[kBytes / sizeof(unsigned long)];
static unsigned long* counts = nowhere;

__attribute__((constructor)) static void map_counts(void) {
  const char* path = getenv("EINTR_FILE");
  if (path == NULL) return;
  const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0 || ftruncate(fd, kBytes) != 0) return;
  void* memory = mmap(NULL, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (memory != MAP_FAILED) counts = memory;
}

static void count(int number, long result) {
  const int error = errno;
  __atomic_fetch_add(&counts[2 * number], 1, __ATOMIC_RELAXED);
  if (result == -1 && error == EINTR) __atomic_fetch_add(&counts[2 * number + 1], 1, __ATOMIC_RELAXED);
  errno = error;
}

#define COUNTED(number, type, name, parameters, arguments)      \
  type name parameters {                                        \
    static type(*real) parameters;                              \
    if (real == NULL) *(void**)&real = dlsym(RTLD_NEXT, #name); \
    const type result = real arguments;                         \
    count(number, result);                                      \
    return result;                                              \
  }

COUNTED(0, int, epoll_wait, (int e, struct epoll_event* v, int n, int t), (e, v, n, t))
COUNTED(1, int, epoll_pwait, (int e, struct epoll_event* v, int n, int t, const sigset_t* s), (e, v, n, t, s))
COUNTED(2, int, poll, (struct pollfd * f, nfds_t n, int t), (f, n, t))
COUNTED(3, int, select, (int n, fd_set* r, fd_set* w, fd_set* x, struct timeval* t), (n, r, w, x, t))
COUNTED(4, ssize_t, read, (int f, void* b, size_t n), (f, b, n))
COUNTED(5, ssize_t, write, (int f, const void* b, size_t n), (f, b, n))
COUNTED(6, ssize_t, recv, (int f, void* b, size_t n, int g), (f, b, n, g))
COUNTED(7, ssize_t, send, (int f, const void* b, size_t n, int g), (f, b, n, g))
COUNTED(8, ssize_t, sendmsg, (int f, const struct msghdr* m, int g), (f, m, g))
COUNTED(9, ssize_t, recvmsg, (int f, struct msghdr* m, int g), (f, m, g))
COUNTED(10, ssize_t, writev, (int f, const struct iovec* v, int n), (f, v, n))
COUNTED(11, int, accept, (int f, struct sockaddr* a, socklen_t* n), (f, a, n))
COUNTED(12, int, accept4, (int f, struct sockaddr* a, socklen_t* n, int g), (f, a, n, g))
COUNTED(13, int, nanosleep, (const struct timespec* a, struct timespec* b), (a, b))
COUNTED(14, int, usleep, (useconds_t a), (a))
