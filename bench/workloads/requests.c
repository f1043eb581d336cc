// A server and its clients in one process: two threads answer requests that two others send over sockets,
// many at a time. Only the server's functions can be hooked. `requests N` answers N requests of each client,
// and prints a sum that is the same in every run.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define NEVER_HOOKED __attribute__((patchable_function_entry(0), no_instrument_function))
#define HOOKED __attribute__((noinline, noclone))

enum { kThreads = 2, kBatch = 1024, kRequestBytes = 32, kBuckets = 4096, kKeys = 5000 };

struct entry {
  struct entry* next;
  uint64_t hits;
  char key[16];
};

struct connection {
  int server;
  int client;
  long requests;
  uint64_t sum;
  struct entry* buckets[kBuckets];
};

struct text {
  const char* at;
  const char* end;
};

HOOKED static int next_char(struct text* text) { return text->at < text->end ? *text->at++ : -1; }
HOOKED static int is_separator(int c) { return c == ' ' || c == '\n' || c < 0; }
HOOKED static uint32_t hash_step(uint32_t hash, int c) { return (hash ^ (uint32_t)c) * 16777619u; }
HOOKED static int same_key(const struct entry* entry, const char* key) {
  return strcmp(entry->key, key) == 0;
}

HOOKED static void read_word(struct text* text, char* word, size_t size) {
  size_t length = 0;
  for (int c = next_char(text); !is_separator(c); c = next_char(text)) {
    if (length + 1 < size) word[length++] = (char)c;
  }
  word[length] = '\0';
}

HOOKED static uint32_t hash_key(const char* key) {
  uint32_t hash = 2166136261u;
  for (; *key != '\0'; ++key) hash = hash_step(hash, *key);
  return hash;
}

HOOKED static struct entry* find_entry(struct connection* connection, const char* key) {
  struct entry** place = &connection->buckets[hash_key(key) % kBuckets];
  for (struct entry* entry = *place; entry != NULL; entry = entry->next) {
    if (same_key(entry, key)) return entry;
  }
  struct entry* entry = calloc(1, sizeof *entry);
  snprintf(entry->key, sizeof entry->key, "%s", key);
  entry->next = *place;
  *place = entry;
  return entry;
}

HOOKED static char* put_char(char* at, int c) {
  *at = (char)c;
  return at + 1;
}

HOOKED static char* put_number(char* at, uint64_t number) {
  char digits[20];
  int count = 0;
  do {
    digits[count++] = (char)('0' + number % 10);
    number /= 10;
  } while (number != 0);
  while (count > 0) at = put_char(at, digits[--count]);
  return at;
}

HOOKED static char* answer(struct connection* connection, struct text* text, char* at) {
  char command[8];
  char key[16];
  read_word(text, command, sizeof command);
  read_word(text, key, sizeof key);
  struct entry* entry = find_entry(connection, key);
  if (strcmp(command, "hit") == 0) ++entry->hits;
  at = put_number(at, entry->hits);
  return put_char(at, '\n');
}

HOOKED static size_t answer_all(struct connection* connection, const char* requests, size_t bytes,
                                char* answers) {
  struct text text = {requests, requests + bytes};
  char* at = answers;
  while (text.at < text.end) at = answer(connection, &text, at);
  return (size_t)(at - answers);
}

HOOKED static void* serve(void* argument) {
  struct connection* connection = argument;
  char requests[kBatch * kRequestBytes];
  char answers[kBatch * kRequestBytes];
  for (;;) {
    const ssize_t bytes = recv(connection->server, requests, sizeof requests, 0);
    if (bytes <= 0) return NULL;
    const size_t size = answer_all(connection, requests, (size_t)bytes, answers);
    if (send(connection->server, answers, size, 0) < 0) return NULL;
  }
}

NEVER_HOOKED static void* ask(void* argument) {
  struct connection* connection = argument;
  char requests[kBatch * kRequestBytes];
  char answers[kBatch * kRequestBytes];
  uint32_t random = 1;
  for (long left = connection->requests; left > 0; left -= kBatch) {
    int size = 0;
    for (int i = 0; i < kBatch; ++i) {
      random = random * 1103515245u + 12345;
      size += sprintf(requests + size, "%s key%u\n", random >> 20 & 1 ? "hit" : "get", (random >> 8) % kKeys);
    }
    if (send(connection->client, requests, (size_t)size, 0) < 0) return NULL;
    const ssize_t bytes = recv(connection->client, answers, sizeof answers, 0);
    for (ssize_t i = 0; i < bytes; ++i) connection->sum = connection->sum * 31 + (unsigned char)answers[i];
  }
  shutdown(connection->client, SHUT_RDWR);
  return NULL;
}

NEVER_HOOKED int main(int argc, char** argv) {
  static struct connection connections[kThreads];
  pthread_t threads[2 * kThreads];
  uint64_t sum = 0;
  for (int i = 0; i < kThreads; ++i) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) != 0) return 1;
    connections[i].server = ends[0];
    connections[i].client = ends[1];
    connections[i].requests = argc > 1 ? atol(argv[1]) : 1000;
    pthread_create(&threads[2 * i], NULL, serve, &connections[i]);
    pthread_create(&threads[2 * i + 1], NULL, ask, &connections[i]);
  }
  for (int i = 0; i < 2 * kThreads; ++i) pthread_join(threads[i], NULL);
  for (int i = 0; i < kThreads; ++i) sum += connections[i].sum;
  printf("%llu\n", (unsigned long long)sum);
  return 0;
}
