// How a target program counts its own calls, so that a recording can be compared with the truth.
//
// Every hooked function of a target is HOOKED and says CALLED() first. The counts live in the file named by
// the environment variable CALLS_FILE, mapped shared by every process of the target: they add up over fork
// and exec, and they survive SIGKILL. Without the variable nothing is counted. The file is CALLS_SLOTS slots
// of 64 bytes; a name may own several slots, which the reader adds up.
//
// Safe in any thread and in signal handlers. Keeps errno. Takes no memory from the heap and keeps no
// descriptor open.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__clang__)
#define HOOKED __attribute__((noinline))
#else
#define HOOKED __attribute__((noinline, noclone))
#endif

enum { CALLS_SLOTS = 256, CALLS_NAME_BYTES = 48 };

struct CallSlot {
  uint32_t state;  // 0 free, 1 being named, 2 named
  uint32_t reserved;
  uint64_t count;
  char name[CALLS_NAME_BYTES];
};

/// The slot to count calls of `name` in; never null.
uint64_t* calls_slot(const char* name);

/// Adds `count` calls of `name` at once, for functions that cannot count themselves.
void calls_add(const char* name, uint64_t count);

// The slot is looked up once a function; two threads that do it at the same time find slots that add up.
#define CALLED_AS(function_name)                                                    \
  do {                                                                              \
    static uint64_t* calls_slot_here;                                               \
    uint64_t* calls_slot_now = __atomic_load_n(&calls_slot_here, __ATOMIC_ACQUIRE); \
    if (calls_slot_now == NULL) {                                                   \
      calls_slot_now = calls_slot(function_name);                                   \
      __atomic_store_n(&calls_slot_here, calls_slot_now, __ATOMIC_RELEASE);         \
    }                                                                               \
    __atomic_fetch_add(calls_slot_now, 1, __ATOMIC_RELAXED);                        \
  } while (0)
#define CALLED() CALLED_AS(__func__)

// After a call in tail position: the compiler must make it a real call.
#define NOT_A_TAIL_CALL() __asm__ volatile("" ::: "memory")

#ifdef __cplusplus
}
#endif
