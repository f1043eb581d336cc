// Traces only the calls that are made while another function is active, on the thread where it is.
#define _GNU_SOURCE
#include <calltap/calltap.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#define NOINLINE __attribute__((noinline))

// The program: what it does for a request is of interest, what it does otherwise is not.
static volatile int work;
NOINLINE void look_up(void) { ++work; }
NOINLINE void parse(void) { ++work; }
NOINLINE void reply(void) { ++work; }
NOINLINE void handle_request(int keys) {
  parse();
  for (int i = 0; i < keys; ++i) look_up();
  reply();
  ++work;
}
NOINLINE void collect_garbage(void) {
  look_up();
  ++work;
}

static _Thread_local int active;  // calls of handle_request() that this thread is in

static int on_request(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data) {
  (void)ip, (void)parent_ip, (void)ops, (void)data;
  printf("request with %d keys:\n", (int)ct_regs_argument(regs, 0));
  ++active;
  return 0;  // yes, call on_request_end() when this call has ended
}

// Also when the call is left by an exception or a longjmp.
static void on_request_end(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data) {
  (void)ip, (void)parent_ip, (void)ops, (void)regs, (void)data;
  --active;
}

static void on_any_call(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)parent_ip, (void)ops, (void)regs;
  if (active == 0) return;
  Dl_info info;
  const int found = dladdr((const void*)ip, &info);  // a handler may call anything
  printf("  %s\n", found != 0 && info.dli_sname != NULL ? info.dli_sname : "?");
}

static void require(int result) {
  if (result == 0) return;
  fprintf(stderr, "%s\n", ct_error_text());
  exit(1);
}

int main(void) {
  ct_ops* requests = ct_new_probe(on_request, on_request_end, 0, NULL, 0);
  ct_ops* calls = ct_new_callback(on_any_call, NULL, 0);
  if (requests == NULL || calls == NULL) require(-1);
  require(ct_set_filter(requests, "handle_request", 0));
  require(ct_set_notrace(calls, "handle_request", 0));  // all functions but this
  require(ct_register_ops(requests));
  require(ct_register_ops(calls));

  collect_garbage();
  handle_request(2);
  collect_garbage();
  handle_request(0);

  require(ct_free_ops(calls));
  require(ct_free_ops(requests));
  return 0;
}
