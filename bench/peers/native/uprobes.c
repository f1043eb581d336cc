// Runs a program with kernel uprobes on functions of it.
//
//   uprobes MODE OFFSETS RESULT PROGRAM [ARGUMENTS...]
//
// MODE is count (entries), count-both (entries and returns), or record-both (the same, each event into the
// kernel's ring buffer, which is read). OFFSETS is a file of file offsets of the functions, one a line.
// RESULT gets one line of JSON. Needs root.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { kMostEvents = 8192, kRingPages = 2048 };

static int events[kMostEvents];
static int event_count;
static struct perf_event_mmap_page* ring;
static unsigned long samples, sample_bytes, lost;

static void fail(const char* what) {
  fprintf(stderr, "uprobes: %s: %s\n", what, strerror(errno));
  exit(1);
}

static double milliseconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static unsigned pmu_type(void) {
  unsigned type = 0;
  FILE* file = fopen("/sys/bus/event_source/devices/uprobe/type", "r");
  if (file == NULL || fscanf(file, "%u", &type) != 1) fail("the kernel has no uprobe PMU");
  fclose(file);
  return type;
}

static void open_event(unsigned type, const char* program, unsigned long offset, bool at_return, pid_t pid,
                       int cpu) {
  const bool record = pid >= 0;
  struct perf_event_attr attr = {0};
  attr.size = sizeof attr;
  attr.type = type;
  attr.config = at_return ? 1 : 0;  // bit 0 of "retprobe"
  attr.uprobe_path = (unsigned long)program;
  attr.probe_offset = offset;
  if (record) {
    attr.sample_period = 1;
    attr.sample_type = PERF_SAMPLE_IP | PERF_SAMPLE_TIME;
    attr.wakeup_events = 1000;
  }
  const int fd = (int)syscall(SYS_perf_event_open, &attr, pid, cpu, -1, PERF_FLAG_FD_CLOEXEC);
  if (fd < 0) fail("perf_event_open");
  if (event_count == kMostEvents) fail("too many functions");
  events[event_count++] = fd;
  if (!record) return;
  if (ring == NULL) {
    ring = mmap(NULL, (kRingPages + 1) * 4096UL, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (ring == MAP_FAILED) fail("mmap of the ring buffer");
  } else if (ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT, events[0]) != 0) {
    fail("PERF_EVENT_IOC_SET_OUTPUT");
  }
}

/// Counts are of all processes that run the program, on each CPU: new threads would not inherit a task's
/// probes. A ring buffer can have the events of one task.
static void open_events(unsigned type, const char* program, unsigned long offset, bool at_return, bool record,
                        pid_t pid) {
  if (record) {
    open_event(type, program, offset, at_return, pid, -1);
    return;
  }
  const int cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
  for (int cpu = 0; cpu < cpus; ++cpu) open_event(type, program, offset, at_return, -1, cpu);
}

static void read_ring(void) {
  char* data = (char*)ring + 4096;
  const unsigned long size = kRingPages * 4096UL;
  const unsigned long head = __atomic_load_n(&ring->data_head, __ATOMIC_ACQUIRE);
  unsigned long tail = ring->data_tail;
  while (tail < head) {
    // Headers are aligned to 8 and never wrap.
    const struct perf_event_header* header = (const void*)(data + tail % size);
    if (header->type == PERF_RECORD_SAMPLE) {
      ++samples;
      sample_bytes += header->size;
    } else if (header->type == PERF_RECORD_LOST) {
      lost += *(const unsigned long*)(data + (tail + 16) % size);
    }
    tail += header->size;
  }
  __atomic_store_n(&ring->data_tail, tail, __ATOMIC_RELEASE);
}

static unsigned long counted(void) {
  unsigned long all = 0;
  for (int i = 0; i < event_count; ++i) {
    unsigned long value = 0;
    if (read(events[i], &value, sizeof value) == sizeof value) all += value;
  }
  return all;
}

int main(int argc, char** argv) {
  if (argc < 5) return 2;
  const bool record = strncmp(argv[1], "record", 6) == 0;
  const bool both = strstr(argv[1], "both") != NULL;
  struct rlimit files = {kMostEvents + 64, kMostEvents + 64};
  setrlimit(RLIMIT_NOFILE, &files);
  FILE* offsets = fopen(argv[2], "r");
  FILE* result = fopen(argv[3], "w");
  if (offsets == NULL || result == NULL) fail("cannot open the files");

  // The program waits for its probes.
  int go[2];
  if (pipe(go) != 0) fail("pipe");
  const pid_t child = fork();
  if (child < 0) fail("fork");
  if (child == 0) {
    char byte;
    close(go[1]);
    if (read(go[0], &byte, 1) != 1) _exit(1);
    close(go[0]);
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){1024, 4096});
    execv(argv[4], argv + 4);
    _exit(127);
  }
  const unsigned type = pmu_type();
  const double start = milliseconds();
  unsigned long offset = 0;
  long functions = 0;
  for (; fscanf(offsets, "%lu", &offset) == 1; ++functions) {
    open_events(type, argv[4], offset, false, record, child);
    if (both) open_events(type, argv[4], offset, true, record, child);
  }
  const double enabled = milliseconds();
  if (write(go[1], "g", 1) != 1) fail("write");

  int status = 0;
  for (;;) {
    const pid_t ended = waitpid(child, &status, record ? WNOHANG : 0);
    if (record) read_ring();
    if (ended == child) break;
    struct pollfd ready = {events[0], POLLIN, 0};
    if (record) poll(&ready, 1, 10);
  }
  const unsigned long all = counted();
  const double done = milliseconds();
  for (int i = 0; i < event_count; ++i) close(events[i]);
  fprintf(result,
          "{\"functions\": %ld, \"hits\": %lu, \"events\": %lu, \"bytes\": %lu, \"lost\": %lu, "
          "\"enable_ms\": %.3f, "
          "\"disable_ms\": %.3f}\n",
          functions, all, samples, sample_bytes, lost, enabled - start, milliseconds() - done);
  fclose(result);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
