// Loads a memcached: sets and gets over several connections, a batch of requests in flight on each, answers
// checked. At the end the server is told to shut down (it must have been started with -A).
//
//   server_load PORT CONNECTIONS REQUESTS     REQUESTS in all; prints requests a second, and the milliseconds
//   that
//                                             half and 99 % of the batches took at most
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { kMostConnections = 256, kBatch = 16, kKeys = 5000, kMostBatches = 1 << 20, kText = 1 << 15 };

struct connection {
  char expected[kText];
  char answer[kText];
  size_t expected_size;
  size_t answered;
  double sent;
};

static struct connection connections[kMostConnections];
static struct pollfd sockets[kMostConnections];
static float durations[kMostBatches];
static long batches;

static double milliseconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void fail(const char* what) {
  fprintf(stderr, "server_load: %s\n", what);
  exit(1);
}

/// Waits up to a minute for the server to be there.
static int connect_to(int port) {
  struct sockaddr_in address = {0};
  address.sin_family = AF_INET;
  address.sin_port = htons((unsigned short)port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  for (int attempt = 0; attempt < 6000; ++attempt) {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr*)&address, sizeof address) == 0) {
      const int on = 1;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      return fd;
    }
    close(fd);
    usleep(10000);
  }
  fail("the server does not start");
  return -1;
}

static void write_all(int fd, const char* text, size_t size) {
  while (size > 0) {
    const ssize_t n = write(fd, text, size);
    if (n <= 0) fail("the server has gone");
    text += n;
    size -= (size_t)n;
  }
}

/// One set for seven gets; the value of a key never changes, so a get always finds it or nothing (before the
/// first set).
static void send_batch(int index, long number) {
  static const char letters[] =
      "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz";
  struct connection* c = &connections[index];
  char request[kText];
  size_t size = 0;
  c->expected_size = 0;
  c->answered = 0;
  for (int i = 0; i < kBatch; i += 8) {
    const long key = (number * 7919 + i * 104729L + index) % kKeys;
    const int length = 20 + (int)(key % 50);
    size += (size_t)snprintf(request + size, sizeof request - size, "set key%ld 0 0 %d\r\n%.*s\r\n", key,
                             length, length, letters);
    c->expected_size += (size_t)snprintf(c->expected + c->expected_size, 16, "STORED\r\n");
    for (int get = 0; get < 7; ++get) {
      size += (size_t)snprintf(request + size, sizeof request - size, "get key%ld\r\n", key);
      c->expected_size +=
          (size_t)snprintf(c->expected + c->expected_size, sizeof c->expected - c->expected_size,
                           "VALUE key%ld 0 %d\r\n%.*s\r\nEND\r\n", key, length, length, letters);
    }
  }
  c->sent = milliseconds();
  write_all(sockets[index].fd, request, size);
}

/// True when the whole answer is there.
static bool receive(int index) {
  struct connection* c = &connections[index];
  const ssize_t n = read(sockets[index].fd, c->answer + c->answered, sizeof c->answer - c->answered);
  if (n <= 0) fail("the server has gone");
  c->answered += (size_t)n;
  if (c->answered < c->expected_size) return false;
  if (c->answered != c->expected_size || memcmp(c->answer, c->expected, c->answered) != 0)
    fail("a wrong answer");
  if (batches < kMostBatches) durations[batches++] = (float)(milliseconds() - c->sent);
  return true;
}

static int by_value(const void* a, const void* b) {
  const float x = *(const float*)a, y = *(const float*)b;
  return (x > y) - (x < y);
}

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const int port = atoi(argv[1]);
  const int count = atoi(argv[2]);
  const long requests = atol(argv[3]);
  if (count < 1 || count > kMostConnections) return 2;
  for (int i = 0; i < count; ++i) sockets[i] = (struct pollfd){connect_to(port), POLLIN, 0};
  const double start = milliseconds();
  long sent = 0;
  int busy = 0;
  for (int i = 0; i < count; ++i, ++busy, sent += kBatch) send_batch(i, sent);
  while (busy > 0) {
    if (poll(sockets, (nfds_t)count, 60000) <= 0) fail("no answer for a minute");
    for (int i = 0; i < count; ++i) {
      if (sockets[i].revents == 0 || !receive(i)) continue;
      if (sent < requests) {
        send_batch(i, sent);
        sent += kBatch;
      } else {
        --busy;
      }
    }
  }
  const double seconds = (milliseconds() - start) / 1e3;
  qsort(durations, (size_t)batches, sizeof *durations, by_value);
  printf("%.1f %.4f %.4f\n", (double)sent / seconds, durations[batches / 2], durations[batches * 99 / 100]);
  write_all(sockets[0].fd, "shutdown\r\n", 10);
  return 0;
}
