// Steps through hooked calls, an instruction at a time, for each way in which a site runs its clients. A
// stack of return addresses is kept beside, as a processor's shadow stack: at every instruction
//   - a return goes to where its call came from, which is what a hardware shadow stack enforces;
//   - an unwinder that starts there finds exactly these return addresses, then the callers of the test, and
//     the callee-saved registers of the function that made the hooked call.
// This finds every wrong line of unwind information on the paths that are taken.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unwind.h>

#include "check.h"
#include "dispatch_kinds.h"

enum { kMostFrames = 128, kMostProblems = 10, kSaved = 6 };

void steps_call(void (*function)(void), const uint64_t callee_saved[kSaved]);
extern const char steps_returned[], steps_back[];
void steps_direct(void);
void steps_target(void), steps_target_body(void), steps_inner(void), steps_inner_body(void);
void steps_leaver(void), steps_leaver_body(void), steps_last(void), steps_last_body(void);

static const struct {
  void (*entry)(void);
  void (*body)(void);
  unsigned calls;  // while steps_target() is called once
} kFunctions[] = {{steps_target, steps_target_body, 1},
                  {steps_inner, steps_inner_body, 2},
                  {steps_leaver, steps_leaver_body, 1},
                  {steps_last, steps_last_body, 1}};
enum { kFunctionCount = sizeof kFunctions / sizeof *kFunctions };

static const uint64_t kCalleeSaved[kSaved] = {0xb1b1, 0xb2b2, 0xc1c1, 0xc2c2, 0xc3c3, 0xc4c4};

static struct {
  uint64_t shadow[kMostFrames];  // return addresses, oldest first
  int depth;
  int depth_at_back;  // at the label steps_back
  enum { kOther, kCall, kReturn } last;
  uint64_t outer[kMostFrames];  // callers of the function that calls steps_call()
  int outer_count;
  uint64_t steps;
  int problems;
  int is_over;
  void (*before_step)(uint64_t ip);
} stepping;

static void problem(uint64_t ip, const char* what, uint64_t found, uint64_t expected) {
  if (++stepping.problems > kMostProblems) return;
  printf("    step %lu at %#lx: %s %#lx, not %#lx\n", stepping.steps, ip, what, found, expected);
}

struct Trace {
  uint64_t from;  // the frame to begin with; 0: the first
  uint64_t ips[kMostFrames];
  int count;
  uint64_t saved[kSaved];  // registers in the frame of steps_call()
};

static _Unwind_Reason_Code add_frame(struct _Unwind_Context* context, void* argument) {
  static const int kDwarfNumbers[kSaved] = {3, 6, 12, 13, 14, 15};
  struct Trace* trace = argument;
  const uint64_t ip = _Unwind_GetIP(context);
  if (trace->count == 0 && trace->from != 0 && ip != trace->from) return _URC_NO_REASON;
  if (trace->count == kMostFrames) return _URC_END_OF_STACK;
  trace->ips[trace->count++] = ip;
  if (ip == (uint64_t)steps_returned) {
    for (int i = 0; i < kSaved; ++i) trace->saved[i] = _Unwind_GetGR(context, kDwarfNumbers[i]);
  }
  return _URC_NO_REASON;
}

/// The jump in front of a function and the stub that it leads to have no unwind information, and nobody could
/// unwind steps_leaver() on its way out.
static int has_no_callers(uint64_t ip) {
  enum { kPadBytes = 16, kLeaverBytes = 8 };
  for (int i = 0; i < kFunctionCount; ++i) {
    const uint64_t entry = (uint64_t)kFunctions[i].entry;
    if (ip >= entry - kPadBytes && ip < entry) return 1;
  }
  const uint64_t leaver = (uint64_t)steps_leaver_body;
  Dl_info info;
  return (ip > leaver && ip < leaver + kLeaverBytes) || dladdr((const void*)ip, &info) == 0;
}

static void check_unwinding(uint64_t ip) {
  static struct Trace trace;
  if (has_no_callers(ip)) return;
  memset(&trace, 0, sizeof trace);
  trace.from = ip;
  _Unwind_Backtrace(add_frame, &trace);
  int at = 1;
  for (int i = stepping.depth; i-- > 0; ++at) {
    if (trace.ips[at] == stepping.shadow[i]) continue;
    return problem(ip, "the unwinder finds the caller", trace.ips[at], stepping.shadow[i]);
  }
  ++at;  // the function that called steps_call()
  if (trace.count - at != stepping.outer_count) {
    return problem(ip, "the unwinder finds callers of the test:", (uint64_t)(trace.count - at),
                   (uint64_t)stepping.outer_count);
  }
  for (int i = 0; i < stepping.outer_count; ++i, ++at) {
    if (trace.ips[at] == stepping.outer[i]) continue;
    return problem(ip, "the unwinder finds the caller", trace.ips[at], stepping.outer[i]);
  }
  for (int i = 0; i < kSaved; ++i) {
    if (trace.saved[i] == kCalleeSaved[i]) continue;
    return problem(ip, "the unwinder finds in a callee-saved register", trace.saved[i], kCalleeSaved[i]);
  }
}

static void follow_last_instruction(uint64_t ip, uint64_t sp) {
  if (stepping.last == kCall) {
    if (stepping.depth == kMostFrames) abort();
    memcpy(&stepping.shadow[stepping.depth++], (const void*)sp, sizeof(uint64_t));
  }
  if (stepping.last == kReturn) {
    const uint64_t expected = stepping.depth == 0 ? 0 : stepping.shadow[--stepping.depth];
    if (expected != ip) problem(ip, "a return goes to", ip, expected);
  }
  if (ip == (uint64_t)steps_back) stepping.depth = stepping.depth_at_back;
  if (ip == (uint64_t)steps_leaver) stepping.depth_at_back = stepping.depth - 1;
}

static void look_at_next_instruction(ucontext_t* context) {
  greg_t* registers = context->uc_mcontext.gregs;
  const uint8_t* code = (const uint8_t*)registers[REG_RIP];
  if (code[0] == 0x0f && code[1] == 0x05 && registers[REG_RAX] == SYS_rt_sigprocmask) {
    // A thread that is stepped with SIGTRAP blocked would be killed: signals stay as they are.
    if (registers[REG_RDX] != 0) memset((void*)registers[REG_RDX], 0, sizeof(uint64_t));
    registers[REG_RAX] = 0;
    registers[REG_RIP] += 2;
    code += 2;
  }
  while ((*code & 0xf0) == 0x40 || *code == 0xf2 || *code == 0xf3 || *code == 0x66 || *code == 0x3e ||
         *code == 0x2e) {
    ++code;  // prefixes
  }
  const int group = code[1] >> 3 & 7;
  stepping.last = kOther;
  if (*code == 0xe8 || (*code == 0xff && group == 2)) stepping.last = kCall;
  if (*code == 0xc3 || *code == 0xc2) stepping.last = kReturn;
}

static void on_trap(int number, siginfo_t* info, void* argument) {
  (void)number, (void)info;
  ucontext_t* context = argument;
  const uint64_t ip = (uint64_t)context->uc_mcontext.gregs[REG_RIP];
  if (stepping.is_over) return;
  ++stepping.steps;
  follow_last_instruction(ip, (uint64_t)context->uc_mcontext.gregs[REG_RSP]);
  if (ip == (uint64_t)steps_returned) {
    if (stepping.depth != 0) problem(ip, "calls are left over:", (uint64_t)stepping.depth, 0);
    stepping.is_over = 1;
    return;
  }
  if (stepping.before_step != NULL) stepping.before_step(ip);
  check_unwinding(ip);
  look_at_next_instruction(context);
}

static void* step_through_target(void* before_step) {
  struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
  sigaction(SIGTRAP, &action, NULL);
  memset(&stepping, 0, sizeof stepping);
  stepping.last = kCall;
  if (before_step != NULL) stepping.before_step = *(void (**)(uint64_t))before_step;
  static struct Trace trace;
  memset(&trace, 0, sizeof trace);
  _Unwind_Backtrace(add_frame, &trace);
  for (int i = 1; i < trace.count; ++i) stepping.outer[stepping.outer_count++] = trace.ips[i];
  steps_call(steps_target, kCalleeSaved);
  CHECK(stepping.is_over);
  CHECK_EQUAL(stepping.problems, 0);
  return NULL;
}

static void entry(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)ip, (void)parent_ip, (void)ops, (void)regs;
}

static int probe_entry(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data) {
  (void)ip, (void)parent_ip, (void)ops, (void)regs, (void)data;
  return 0;
}

static void probe_exit(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data) {
  (void)ip, (void)parent_ip, (void)ops, (void)regs, (void)data;
}

static void set_ip(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)parent_ip, (void)ops;
  for (int i = 0; i < kFunctionCount; ++i) {
    if ((uint64_t)kFunctions[i].entry == ip) ct_regs_set_ip(regs, (uint64_t)kFunctions[i].body);
  }
}

static void override_return(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)ip, (void)parent_ip, (void)ops;
  ct_regs_override_return(regs, 1);
}

static const struct DispatchClients kClients = {
    .general = {entry, probe_entry, probe_exit},
    .vectors = {entry, probe_entry, probe_exit},
    .set_ip = set_ip,
    .override_return = override_return,
    .direct = steps_direct,
};

static void in_new_thread(void* (*run)(void*), void* argument) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, run, argument) != 0) abort();
  pthread_join(thread, NULL);
}

static int is_recorded(void) { return getenv("CALLTAP_SESSION") != NULL; }

static unsigned calls_of(int function, const struct DispatchKind* kind) {
  if (function != 0 && is_overridden(kind)) return 0;
  return kFunctions[function].calls;
}

static void check_kind(const struct DispatchKind* kind) {
  ct_ops* ops[kFunctionCount][kMostDispatchClients];
  for (int i = 0; i < kFunctionCount; ++i) {
    struct DispatchClients clients = kClients;
    clients.replacement = kFunctions[i].body;
    attach_kind(kind, (uint64_t)kFunctions[i].entry, &clients, ops[i]);
  }
  steps_target();  // a process's first call under the recorder is a hundred thousand instructions
  step_through_target(NULL);
  // A thread's first hooked call makes what the thread needs: once for each trampoline is enough.
  const unsigned runs = strlen(kind->clients) == 1 && !is_recorded() ? 3 : 2;
  if (runs == 3) in_new_thread(step_through_target, NULL);
  for (int i = 0; i < kFunctionCount; ++i) {
    detach_kind(kind, ops[i], runs * calls_of(i, kind));
  }
  printf("    %lu instructions\n", stepping.steps);
}

TEST(calls_are_paired_and_can_be_unwound_at_every_instruction) { for_each_dispatch_kind(check_kind); }
