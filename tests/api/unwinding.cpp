// Calls that do not return, for each way in which a site runs its clients: exceptions from the function, a
// direct call's trampoline and a replacement, and threads that end in the function or in a handler. And
// backtraces from all of these. With PRIVATE_UNWINDER in a program that carries one of its own, beside the
// libgcc_s that libc loads for backtrace() and pthread_exit().
#include <dlfcn.h>
#include <execinfo.h>
#include <pthread.h>
#include <unwind.h>

#include <cstdlib>
#include <cstring>
#include <initializer_list>

#include "check.h"
#include "dispatch_kinds.h"
#include "trampolines.h"

enum class Act { kReturn, kThrow, kExitThread, kBacktrace };
struct Thrown {
  int value;
};

// Where something happens in the next call, and what.
const char* act_where = "";
Act act = Act::kReturn;
int destroyed = 0;
uint64_t bottom_of_stack = 0;  // return address of main's caller, as backtrace() finds it without hooks
int backtraces = 0;

struct Destroyed {
  ~Destroyed() { ++destroyed; }
};

void hooked_function(int value);
void caller_of_hooked(int value);

constexpr int kMostFrames = 128;
struct Frames {
  void* addresses[kMostFrames];
  int count = 0;
};

_Unwind_Reason_Code add_frame(_Unwind_Context* context, void* frames) {
  auto& found = *static_cast<Frames*>(frames);
  if (found.count == kMostFrames) return _URC_END_OF_STACK;
  found.addresses[found.count++] = reinterpret_cast<void*>(_Unwind_GetIP(context));
  return _URC_NO_REASON;
}

/// The frames that must be there: the caller of the hooked function, and what called the test.
void check_frames(const Frames& frames) {
  bool has_caller = false;
  bool has_bottom = false;
  for (int i = 0; i < frames.count; ++i) {
    const auto address = reinterpret_cast<uint64_t>(frames.addresses[i]);
    const auto caller = reinterpret_cast<uint64_t>(&caller_of_hooked);
    has_caller = has_caller || (address > caller && address < caller + 256);
    has_bottom = has_bottom || address == bottom_of_stack;
  }
  CHECK(has_caller);
  CHECK(has_bottom);
}

/// By libc, which has libgcc_s, and by the program's unwinder.
void check_backtrace() {
  Frames frames;
  frames.count = backtrace(frames.addresses, kMostFrames);
  check_frames(frames);
  Frames own;
  _Unwind_Backtrace(add_frame, &own);
  check_frames(own);
  ++backtraces;
}

void act_in(const char* where, int value) {
  if (std::strcmp(where, act_where) != 0) return;
  if (act == Act::kThrow) throw Thrown{value};
  if (act == Act::kExitThread) {
    act_where = "";
    pthread_exit(nullptr);
  }
  if (act == Act::kBacktrace) check_backtrace();
}

HOOKED void hooked_function(int value) {
  Destroyed here;
  act_in("function", value);
}

HOOKED void replacement(int value) {
  Destroyed here;
  act_in(std::strcmp(act_where, "function") == 0 ? "function" : "replacement", value);
}

HOOKED void caller_of_hooked(int value) {
  Destroyed here;
  hooked_function(value);
}

extern "C" void from_direct_trampoline(int value) {
  Destroyed here;
  act_in("direct", value);
}

extern "C" {
CALLING_TRAMPOLINE(direct_trampoline, from_direct_trampoline);
}

struct Counts {
  int entries;
  int exits;
  int unwound;
  int with_data;  // the exits that find what their entry left
} counts;

void on_entry(uint64_t ip, uint64_t, ct_ops*, ct_regs* regs) {
  ++counts.entries;
  CHECK_EQUAL(ct_regs_argument(regs, 0), 7);
  CHECK_EQUAL(ip, reinterpret_cast<uint64_t>(&hooked_function));
  act_in("entry", 0);
}

int on_probe_entry(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data) {
  on_entry(ip, parent_ip, ops, regs);
  std::memcpy(data, &ops, sizeof ops);
  return 0;
}

void on_probe_exit(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data) {
  ++counts.exits;
  counts.unwound += ct_regs_unwound(regs);
  CHECK_EQUAL(ip, reinterpret_cast<uint64_t>(&hooked_function));
  const auto caller = reinterpret_cast<uint64_t>(&caller_of_hooked);
  CHECK(parent_ip > caller && parent_ip < caller + 256);
  uint64_t word = 0;
  std::memcpy(&word, data, sizeof word);
  counts.with_data += word == reinterpret_cast<uint64_t>(ops);
  CHECK(word == reinterpret_cast<uint64_t>(ops) || word == 0);  // 0: there is no entry handler
  act_in("exit", 0);
}

void set_ip(uint64_t ip, uint64_t, ct_ops*, ct_regs* regs) {
  ++counts.entries;
  ct_regs_set_ip(regs, ip == 0 ? 0 : reinterpret_cast<uint64_t>(&replacement));
}

void override_return(uint64_t, uint64_t, ct_ops*, ct_regs* regs) {
  ++counts.entries;
  ct_regs_override_return(regs, 1);
}

DispatchClients make_clients() {
  DispatchClients clients = {};
  clients.general = {on_entry, on_probe_entry, on_probe_exit};
  clients.vectors = clients.general;
  clients.set_ip = set_ip;
  clients.override_return = override_return;
  clients.direct = direct_trampoline;
  clients.replacement = reinterpret_cast<const void*>(&replacement);
  return clients;
}

bool has(const DispatchKind* kind, const char* letters) {
  return std::strpbrk(kind->clients, letters) != nullptr;
}

int count_of(const DispatchKind* kind, const char* letters) {
  int count = 0;
  for (const char* letter = kind->clients; *letter != '\0'; ++letter) {
    count += std::strchr(letters, *letter) != nullptr;
  }
  return count;
}
int exits_of(const DispatchKind* kind) { return count_of(kind, "pPxX"); }

bool does_reach(const DispatchKind* kind, const char* where) {
  if (std::strcmp(where, "function") == 0) return !is_overridden(kind);
  if (std::strcmp(where, "direct") == 0) return has(kind, "d") && !has(kind, "oOiI");
  return has(kind, std::strcmp(where, "entry") == 0 ? "eEpP" : "pPxX");
}

bool can_act_in(const DispatchKind* kind, const char* where) {
  return does_reach(kind, where) && (std::strcmp(where, "direct") != 0 || kUnwindsFromTrampolines);
}

class Attached {
 public:
  explicit Attached(const DispatchKind* kind) : kind_(kind) {
    const DispatchClients clients = make_clients();
    attach_kind(kind, reinterpret_cast<uint64_t>(&hooked_function), &clients, ops_);
    counts = {};
    destroyed = 0;
  }
  void detach(uint64_t hits) { detach_kind(kind_, ops_, hits); }

 private:
  const DispatchKind* kind_;
  ct_ops* ops_[kMostDispatchClients];
};

int call_and_catch() {
  try {
    caller_of_hooked(7);
  } catch (const Thrown& thrown) {
    return thrown.value;
  }
  return 0;
}

HOOKED int call_and_rethrow() {
  try {
    return call_and_catch() == 7 ? throw Thrown{8} : 0;
  } catch (const Thrown&) {
    Destroyed here;
    throw;
  }
}

void check_throwing(const DispatchKind* kind, const char* where) {
  if (!can_act_in(kind, where)) return;
  constexpr int kRounds = 100;
  Attached attached(kind);
  act = Act::kThrow;
  act_where = where;
  for (int i = 0; i < kRounds; ++i) {
    int caught = 0;
    try {
      call_and_rethrow();
    } catch (const Thrown& thrown) {
      caught = thrown.value;
    }
    CHECK_EQUAL(caught, 8);
  }
  // In whatever throws, its caller, and where it is rethrown; and in a trampoline that returns before.
  const bool is_trampoline_passed = std::strcmp(where, "function") == 0 && does_reach(kind, "direct");
  CHECK_EQUAL(destroyed, (is_trampoline_passed ? 4 : 3) * kRounds);
  CHECK_EQUAL(counts.exits, exits_of(kind) * kRounds);
  CHECK_EQUAL(counts.unwound, counts.exits);
  CHECK_EQUAL(counts.with_data, count_of(kind, "pP") * kRounds);
  act_where = "";
  CHECK_EQUAL(call_and_catch(), 0);
  attached.detach(kRounds + 1);
}

void check_function_throws(const DispatchKind* kind) { check_throwing(kind, "function"); }
void check_trampoline_throws(const DispatchKind* kind) { check_throwing(kind, "direct"); }

// What was counted when the thread had been unwound.
Counts counts_at_end;

/// A destructor of the thread's data: what it calls is seen as before.
void call_at_thread_end(void*) {
  counts_at_end = counts;
  caller_of_hooked(7);
}

void* run_in_thread(void* key) {
  pthread_setspecific(*static_cast<pthread_key_t*>(key), key);
  caller_of_hooked(7);
  return nullptr;
}

/// A thread that ends in the middle of the call.
void check_thread_ends(const DispatchKind* kind, const char* where, int exits, int unwound) {
  Attached attached(kind);
  act = Act::kExitThread;
  act_where = where;
  pthread_key_t key;
  pthread_t thread;
  if (pthread_key_create(&key, call_at_thread_end) != 0) std::abort();
  if (pthread_create(&thread, nullptr, run_in_thread, &key) != 0) std::abort();
  pthread_join(thread, nullptr);
  pthread_key_delete(key);
  CHECK_EQUAL(counts_at_end.exits, exits);
  CHECK_EQUAL(counts_at_end.unwound, unwound);
  CHECK_EQUAL(call_and_catch(), 0);  // this thread's are not disturbed
  attached.detach(3);
}

void check_thread_ends_in_function(const DispatchKind* kind) {
  if (!does_reach(kind, "function")) return;
  check_thread_ends(kind, "function", exits_of(kind), exits_of(kind));
}

void check_thread_ends_in_trampoline(const DispatchKind* kind) {
  if (!does_reach(kind, "direct")) return;
  check_thread_ends(kind, "direct", exits_of(kind), exits_of(kind));
}

/// The first of the exit handlers ends the thread; the others see the call unwound.
void check_thread_ends_in_exit(const DispatchKind* kind) {
  if (exits_of(kind) != 0) check_thread_ends(kind, "exit", exits_of(kind), exits_of(kind) - 1);
}

void check_thread_ends_in_entry(const DispatchKind* kind) {
  if (!does_reach(kind, "entry") || std::strlen(kind->clients) != 1) return;
  check_thread_ends(kind, "entry", 0, 0);
}

void check_backtrace_in(const DispatchKind* kind, const char* where) {
  if (!can_act_in(kind, where)) return;
  Attached attached(kind);
  act = Act::kBacktrace;
  act_where = where;
  backtraces = 0;
  caller_of_hooked(7);
  CHECK(backtraces != 0);
  act_where = "";
  attached.detach(1);
}

void check_backtraces(const DispatchKind* kind) {
  void* frames[kMostFrames];
  const int count = backtrace(frames, kMostFrames);
  bottom_of_stack = reinterpret_cast<uint64_t>(frames[count - 2]);
  for (const char* where : {"function", "direct", "entry", "exit"}) check_backtrace_in(kind, where);
}

#ifdef PRIVATE_UNWINDER
TEST(the_program_carries_an_unwinder) {
  Dl_info of_unwinder;
  Dl_info of_program;
  CHECK(dladdr(reinterpret_cast<void*>(&_Unwind_RaiseException), &of_unwinder) != 0);
  CHECK(dladdr(reinterpret_cast<void*>(&caller_of_hooked), &of_program) != 0);
  CHECK(of_unwinder.dli_fbase == of_program.dli_fbase);
}
#endif

TEST(backtraces_find_the_callers_from_everywhere) { for_each_dispatch_kind(check_backtraces); }
TEST(exceptions_of_the_function_end_its_call_once) { for_each_dispatch_kind(check_function_throws); }
TEST(exceptions_of_a_direct_trampoline_end_the_call_once) {
  if (!kThrowsFromTrampolines)
    skip_check("here exceptions do not pass a function that calls the trampoline itself");
  for_each_dispatch_kind(check_trampoline_throws);
}
#ifndef PRIVATE_UNWINDER  // libgcc_s passes no destructor of such a program: ending_threads.c is without
TEST(a_thread_may_end_in_the_function) { for_each_dispatch_kind(check_thread_ends_in_function); }
TEST(a_thread_may_end_in_a_direct_trampoline) {
  if (!kThrowsFromTrampolines)
    skip_check("here exceptions do not pass a function that calls the trampoline itself");
  for_each_dispatch_kind(check_thread_ends_in_trampoline);
}
TEST(a_thread_may_end_in_an_exit_handler) { for_each_dispatch_kind(check_thread_ends_in_exit); }
TEST(a_thread_may_end_in_an_entry_handler) { for_each_dispatch_kind(check_thread_ends_in_entry); }
#endif
