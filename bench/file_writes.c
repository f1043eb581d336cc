// Ways to get packets out of shared memory into a file, as the recording tool does.
//
//   file_writes WAY FILE MEGABYTES     prints CPU and wall clock nanoseconds for a 64 KiB packet
//
//   write      a write for each packet
//   many       a write for 16 of them
//   reserved   a write for each, with blocks reserved behind the end of the file, 16 MiB at a time
//   mapped     copied into a mapping of the file, which is made 16 packets at a time
//   direct     a direct write for 16 of them, past the page cache
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { kPacket = 64 << 10, kTogether = 16, kMemory = 64 << 20, kReserved = 16 << 20 };

static long nanoseconds(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return t.tv_sec * 1000000000L + t.tv_nsec;
}

static void require(int done, const char* what) {
  if (done) return;
  perror(what);
  exit(1);
}

static void write_packets(int fd, const char* memory, long bytes, long each, long reserved) {
  for (long at = 0; at < bytes; at += each) {
    if (reserved != 0 && at % reserved == 0)
      require(fallocate(fd, FALLOC_FL_KEEP_SIZE, at, reserved) == 0, "fallocate");
    require(write(fd, memory + at % kMemory, (size_t)each) == each, "write");
  }
}

static void map_packets(int fd, const char* memory, long bytes) {
  const long each = (long)kPacket * kTogether;
  require(ftruncate(fd, bytes) == 0, "ftruncate");
  for (long at = 0; at < bytes; at += each) {
    char* place = mmap(NULL, (size_t)each, PROT_READ | PROT_WRITE, MAP_SHARED, fd, at);
    require(place != MAP_FAILED, "mmap");
    memcpy(place, memory + at % kMemory, (size_t)each);
    munmap(place, (size_t)each);
  }
}

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const char* way = argv[1];
  const long bytes = atol(argv[3]) << 20;
  const int shared = memfd_create("packets", MFD_CLOEXEC);
  require(shared >= 0 && ftruncate(shared, kMemory) == 0, "memfd");
  char* memory = mmap(NULL, kMemory, PROT_READ | PROT_WRITE, MAP_SHARED, shared, 0);
  require(memory != MAP_FAILED, "mmap");
  memset(memory, 1, kMemory);
  const int direct = strcmp(way, "direct") == 0 ? O_DIRECT : 0;
  const int fd = open(argv[2], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | direct, 0600);
  require(fd >= 0, argv[2]);
  const long wall = nanoseconds(CLOCK_MONOTONIC);
  const long cpu = nanoseconds(CLOCK_PROCESS_CPUTIME_ID);
  if (strcmp(way, "mapped") == 0) {
    map_packets(fd, memory, bytes);
  } else {
    const int together = strcmp(way, "many") == 0 || direct != 0;
    const long reserved = strcmp(way, "reserved") == 0 ? kReserved : 0;
    write_packets(fd, memory, bytes, together ? (long)kPacket * kTogether : kPacket, reserved);
  }
  const double packets = (double)bytes / kPacket;
  printf("%.0f %.0f\n", (double)(nanoseconds(CLOCK_PROCESS_CPUTIME_ID) - cpu) / packets,
         (double)(nanoseconds(CLOCK_MONOTONIC) - wall) / packets);
  unlink(argv[2]);
  return 0;
}
