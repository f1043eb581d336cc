// The calls whose instructions `count` counts.
//
//   instructions [CLIENT...]     calls a function that has these clients
//
//   plain        a function without an entry that Calltap could use
//   kernel       a function with the kernel's kind of entry, where that is another
//   callback     a client with one handler, which uses general registers only
//   probe        a client with one for the entry and one for the exit, which do so too
//   callback-vectors, probe-vectors
//                the same with handlers that may use vector registers
//   direct       a direct call of a trampoline that does nothing
//   redirect     to a copy of the function
//   gone         a callback that is attached and detached again
//   elsewhere    1,000 callbacks of another function
//
// Without clients it does not ask anything of libcalltap.so, and can be recorded.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calltap/calltap.h"

enum {
  kCallsBefore = 20,  // those that prepare what only the first ones need
  kCallsCounted = 5,
  kElsewhere = 1000,
};

typedef long function(long);
function plain, watched, kernel, other, replacement;
extern const char direct_trampoline[];

// What `count` looks for by name: handlers, whose instructions are their own, and the labels around the call.
void on_call(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs);
int on_entry(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data);
void on_exit_of_call(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data);

void on_call(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)ip, (void)parent_ip, (void)ops, (void)regs;
}

int on_entry(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data) {
  (void)ip, (void)parent_ip, (void)ops, (void)regs, (void)data;
  return 0;
}

void on_exit_of_call(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data) {
  (void)ip, (void)parent_ip, (void)ops, (void)regs, (void)data;
}

static function* target = watched;

__attribute__((noinline)) static long counted_call(function* called, long x) {
  __asm__ volatile(".globl call_begins\ncall_begins:" : "+r"(called), "+r"(x)::"memory");
  x = called(x);
  __asm__ volatile(".globl call_ends\ncall_ends:" : "+r"(x)::"memory");
  return x;
}

static void check(int result) {
  if (result == 0) return;
  fprintf(stderr, "instructions: %s\n", ct_error_text());
  exit(1);
}

static ct_ops* of_function(ct_ops* ops, function* attached_to) {
  check(ct_set_filter_ip(ops, (uint64_t)(uintptr_t)attached_to, 0, 1));
  return ops;
}

static ct_ops* callback(function* attached_to, unsigned flags) {
  ct_ops* ops = of_function(ct_new_callback(on_call, NULL, flags), attached_to);
  check(ct_register_ops(ops));
  return ops;
}

static void probe(unsigned flags) {
  check(ct_register_ops(of_function(ct_new_probe(on_entry, on_exit_of_call, 0, NULL, flags), target)));
}

static void attach(const char* client) {
  if (strcmp(client, "callback") == 0) {
    callback(target, CT_GENERAL_REGS_ONLY);
  } else if (strcmp(client, "callback-vectors") == 0) {
    callback(target, 0);
  } else if (strcmp(client, "probe") == 0) {
    probe(CT_GENERAL_REGS_ONLY);
  } else if (strcmp(client, "probe-vectors") == 0) {
    probe(0);
  } else if (strcmp(client, "direct") == 0) {
    check(ct_register_direct(of_function(ct_new_ops(NULL, 0), target), direct_trampoline));
  } else if (strcmp(client, "redirect") == 0) {
    check(
        ct_register_redirect(of_function(ct_new_ops(NULL, 0), target), (const void*)(uintptr_t)replacement));
  } else if (strcmp(client, "gone") == 0) {
    check(ct_free_ops(callback(target, CT_GENERAL_REGS_ONLY)));
  } else if (strcmp(client, "elsewhere") == 0) {
    for (int i = 0; i < kElsewhere; ++i) callback(other, CT_GENERAL_REGS_ONLY);
  } else {
    fprintf(stderr, "instructions: no such client: %s\n", client);
    exit(2);
  }
}

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    if (strcmp(argv[i], "plain") == 0) {
      target = plain;
    } else if (strcmp(argv[i], "kernel") == 0) {
      target = kernel;
    } else {
      attach(argv[i]);
    }
  }
  function* const called = target;
  long x = 0;
  for (int i = 0; i < kCallsBefore; ++i) x = called(x);
  for (int i = 0; i < kCallsCounted; ++i) x = counted_call(called, x);
  if (x == kCallsBefore + kCallsCounted) return 0;
  fprintf(stderr, "instructions: a call returned something else\n");
  return 1;
}
