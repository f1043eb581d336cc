// Sixteen threads call 72 functions while clients come, change and go: eight callbacks and probes with random
// filters, two direct calls, a redirect. Two more clients are attached all the time.
//
//   rotating_clients SECONDS [signals] [threads] [coroutines]
//
// Every handler checks that it sees its own ops, its own per-call data and the right arguments and results.
// What a client owns is made unreadable as soon as its unregister or disable has returned. Every result of
// every call is checked, and at the end the counts have to add up.
//   signals      a timer interrupts all this, and its handler calls the functions too
//   threads      a thread ends after some hundred calls, and another one takes its place
//   coroutines   calls stop in the middle and are continued by another thread
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <mutex>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "calltap/calltap.h"
#include "checking_handlers.h"
#include "trampolines.h"
#include "worked_functions.h"

using checking::Client;
using namespace worked;

namespace {

constexpr int kThreads = 16;
constexpr int kRotating = 8;
constexpr int kCoroutines = 48;

std::atomic<bool> stop{false};
std::atomic<std::uint64_t> made[kFunctions];  // calls
std::atomic<std::uint64_t> wrong_results{0};
std::uint64_t failures = 0;

__attribute__((format(printf, 1, 2))) void fail(const char* format, ...) {
  ++failures;
  std::printf("FAILED: ");
  va_list values;
  va_start(values, format);
  std::vprintf(format, values);
  va_end(values);
  std::printf("\n");
}

/// Calls the function and counts the calls that it makes of itself and others.
void call_counted(int index, std::uint64_t x) {
  const int kind = index / kOfAKind;
  made[index].fetch_add(kind == kRecursive ? x % 4 + 1 : 1, std::memory_order_relaxed);
  if (kind == kTail) made[kInteger * kOfAKind + index % kOfAKind].fetch_add(1, std::memory_order_relaxed);
  if (!worked::call(index, x)) wrong_results.fetch_add(1, std::memory_order_relaxed);
}

/// With pauses, or most threads would be waiting for a processor in the middle of a handler, and each change
/// for them.
void call_some(std::minstd_rand& random, int calls) {
  for (int i = 0; i < calls && !stop; ++i) {
    call_counted(static_cast<int>(random() % kFunctions), random());
    if (random() % 32 == 0) std::this_thread::sleep_for(std::chrono::microseconds(random() % 256));
  }
}

// ------------------------------------------------------------------------------------------- signals

void on_timer(int) {
  static std::atomic<std::uint64_t> serial{0};
  const int saved = errno;
  const std::uint64_t x = serial.fetch_add(1, std::memory_order_relaxed) * 0x2545f4914f6cdd1d;
  const auto index = static_cast<int>((x >> 32) % (kYielding * kOfAKind));
  if (index / kOfAKind != kThrowing) call_counted(index, x);
  errno = saved;
}

void start_timer() {
  struct sigaction action = {};
  action.sa_handler = on_timer;
  action.sa_flags = SA_RESTART;
  sigaction(SIGALRM, &action, nullptr);
  const itimerval every = {{0, 300}, {0, 300}};
  setitimer(ITIMER_REAL, &every, nullptr);
}

// ---------------------------------------------------------------------------------------- coroutines

struct Coroutine {
  ucontext_t context;
  ucontext_t* runner;  // of the thread that runs it now
  bool is_over = false;
  std::vector<char> stack = std::vector<char>(256 << 10);
};
std::mutex pool_lock;
std::deque<Coroutine*> pool;
thread_local Coroutine* current = nullptr;

/// Another thread may be running when this returns, so nothing of this one is kept.
__attribute__((noinline)) void switch_out() {
  Coroutine* me = current;
  if (me == nullptr) return;
  swapcontext(&me->context, me->runner);
}

__attribute__((noinline)) void run_coroutine() {
  std::minstd_rand random(std::random_device{}());
  while (!stop) call_some(random, 1);
  current->is_over = true;
  switch_out();
}

void run_coroutines() {
  ucontext_t mine;
  for (;;) {
    Coroutine* next = nullptr;
    {
      const std::lock_guard lock(pool_lock);
      if (pool.empty()) {
        if (stop) return;
      } else {
        next = pool.front();
        pool.pop_front();
      }
    }
    if (next == nullptr) {
      std::this_thread::yield();
      continue;
    }
    next->runner = &mine;
    current = next;
    swapcontext(&mine, &next->context);
    current = nullptr;
    const std::lock_guard lock(pool_lock);
    if (!next->is_over) pool.push_back(next);
  }
}

std::deque<Coroutine> make_coroutines() {
  std::deque<Coroutine> coroutines(kCoroutines);
  for (Coroutine& c : coroutines) {
    getcontext(&c.context);
    c.context.uc_stack.ss_sp = c.stack.data();
    c.context.uc_stack.ss_size = c.stack.size();
    makecontext(&c.context, run_coroutine, 0);
    pool.push_back(&c);
  }
  worked::yield = switch_out;
  return coroutines;
}

// ------------------------------------------------------------------------------------------- clients

/// A random choice of functions, of which some exist for sure.
std::string random_pattern(std::minstd_rand& random) {
  static const char* const kinds[] = {"integer",  "floating",  "stack", "small",    "large",
                                      "throwing", "recursive", "tail",  "yielding", "*"};
  const char* kind = kinds[random() % std::size(kinds)];
  const auto low = random() % kOfAKind;
  const auto high = low + random() % (kOfAKind - low);
  return std::string(kind) + "_[" + std::to_string(low) + "-" + std::to_string(high) + "]";
}

void must(int result, const char* what) {
  if (result != 0) fail("%s: %d, %s", what, result, ct_error_text());
}

/// A client with handlers, and the page that it owns.
class Handlers {
 public:
  Handlers() {
    page_ =
        static_cast<Client*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  }
  void make(bool is_probe, bool general) {
    protect(PROT_READ | PROT_WRITE);
    *page_ = {};
    is_probe_ = is_probe;
    general = general && checking::kHasGeneralHandlers;
    const unsigned flags = general ? CT_GENERAL_REGS_ONLY : 0;
    namespace full = checking::with_vectors;
    namespace small = checking::general;
    page_->ops = is_probe ? ct_new_probe(general ? small::on_entry : full::on_entry,
                                         general ? small::on_exit : full::on_exit, CT_DATA_MAX, page_, flags)
                          : ct_new_callback(general ? small::on_call : full::on_call, page_, flags);
    ops_ = page_->ops;
    if (ops_ == nullptr) fail("no client: %s", ct_error_text());
  }
  void attach(const std::string& pattern) {
    protect(PROT_READ | PROT_WRITE);
    must(ct_set_filter(ops_, pattern.c_str(), 1), "set_filter");
    checking::ordered_before(ops_);
    must(ct_register_ops(ops_), "register_ops");
    is_attached_ = true;
  }
  void detach() {
    must(ct_unregister_ops(ops_), "unregister_ops");
    checking::ordered_after(ops_);
    is_attached_ = false;
    check_counts();
    protect(PROT_NONE);
  }
  void disable_and_enable() {
    must(ct_disable_ops(ops_), "disable_ops");
    checking::ordered_after(ops_);
    protect(PROT_NONE);
    std::this_thread::yield();
    protect(PROT_READ | PROT_WRITE);
    checking::ordered_before(ops_);
    must(ct_enable_ops(ops_), "enable_ops");
  }
  void destroy() {
    if (is_attached_) detach();
    must(ct_free_ops(ops_), "free_ops");
  }
  void check_counts() const {
    if (ct_ops_hits(ops_) != page_->entries) {
      fail("%llu hits, but the handler ran %llu times", static_cast<unsigned long long>(ct_ops_hits(ops_)),
           static_cast<unsigned long long>(page_->entries));
    }
    if (page_->exits + page_->cancelled > page_->entries) fail("more exits than entries");
  }
  void rotate(std::minstd_rand& random) {
    const auto choice = random() % 10;
    if (!is_attached_) {
      if (choice < 4) {
        must(ct_free_ops(ops_), "free_ops");
        make(random() % 2 != 0, random() % 2 != 0);
      }
      attach(random_pattern(random));
    } else if (choice < 5) {
      detach();
    } else if (choice < 8) {
      must(ct_set_filter(ops_, random_pattern(random).c_str(), 1), "set_filter");
    } else {
      disable_and_enable();
    }
  }
  [[nodiscard]] const Client& counts() const { return *page_; }
  [[nodiscard]] const ct_ops* ops() const { return ops_; }

 private:
  void protect(int protection) { mprotect(page_, 4096, protection); }

  Client* page_;
  ct_ops* ops_ = nullptr;
  bool is_probe_ = false;
  bool is_attached_ = false;
};

extern "C" {
DIRECT_TRAMPOLINE(direct_a, calls_of_direct_a);
DIRECT_TRAMPOLINE(direct_b, calls_of_direct_b);
}

class Direct {
 public:
  void rotate(std::minstd_rand& random) {
    if (ops_ == nullptr) ops_ = ct_new_ops(nullptr, 0);
    const void* target = random() % 2 != 0 ? direct_a : direct_b;
    if (!is_attached_) {
      must(ct_set_filter(ops_, random_pattern(random).c_str(), 1), "set_filter");
      const int result = ct_register_direct(ops_, target);
      is_attached_ = result == 0;
      if (result != -EBUSY) must(result, "register_direct");  // the other one may be there
    } else if (random() % 2 != 0) {
      must(ct_modify_direct(ops_, target), "modify_direct");
    } else {
      must(ct_unregister_direct(ops_), "unregister_direct");
      is_attached_ = false;
    }
  }
  void destroy() { must(ct_free_ops(ops_), "free_ops"); }

 private:
  ct_ops* ops_ = nullptr;
  bool is_attached_ = false;
};

class Redirect {
 public:
  void rotate(std::minstd_rand& random) {
    if (ops_ == nullptr) ops_ = ct_new_ops(nullptr, 0);
    if (is_attached_) {
      must(ct_unregister_redirect(ops_), "unregister_redirect");
    } else {
      must(ct_set_filter(ops_, random() % 2 != 0 ? "integer_[0-4]" : "integer_[3-7]", 1), "set_filter");
      must(ct_register_redirect(ops_, reinterpret_cast<const void*>(replacement)), "register_redirect");
    }
    is_attached_ = !is_attached_;
  }
  void destroy() { must(ct_free_ops(ops_), "free_ops"); }

 private:
  ct_ops* ops_ = nullptr;
  bool is_attached_ = false;
};

std::uint64_t rotate_for(std::chrono::seconds time) {
  std::minstd_rand random(std::random_device{}());
  Handlers handlers[kRotating];
  for (int i = 0; i < kRotating; ++i) handlers[i].make(i % 2 != 0, i % 4 < 2);
  Direct directs[2];
  Redirect redirect;
  std::uint64_t changes = 0;
  const auto end = std::chrono::steady_clock::now() + time;
  for (; std::chrono::steady_clock::now() < end; ++changes) {
    const auto choice = random() % (kRotating + 4);
    if (choice < kRotating) {
      handlers[choice].rotate(random);
    } else if (choice < kRotating + 2) {
      directs[choice - kRotating].rotate(random);
    } else {
      redirect.rotate(random);
    }
  }
  for (Handlers& h : handlers) h.destroy();
  for (Direct& d : directs) d.destroy();
  redirect.destroy();
  return changes;
}

void check_all_time(const char* name, const Handlers& handlers, int number, bool may_miss) {
  std::uint64_t calls = 0;
  for (int i = number; i < kFunctions; i += kOfAKind) calls += made[i];
  const std::uint64_t hits = ct_ops_hits(handlers.ops());
  const std::uint64_t missed = ct_ops_missed(handlers.ops());
  std::printf("%s: %llu calls, %llu hits, %llu missed\n", name, static_cast<unsigned long long>(calls),
              static_cast<unsigned long long>(hits), static_cast<unsigned long long>(missed));
  if (hits + missed != calls || (missed != 0 && !may_miss)) fail("%s lost calls", name);
  const Client& client = handlers.counts();
  if (client.exits != 0 && client.exits + client.cancelled != client.entries) {
    fail("%s: %llu entries, %llu exits, %llu cancelled", name,
         static_cast<unsigned long long>(client.entries), static_cast<unsigned long long>(client.exits),
         static_cast<unsigned long long>(client.cancelled));
  }
}

}  // namespace

int main(int argc, char** argv) {
  const auto has = [&](std::string_view word) {
    return std::any_of(argv + 1, argv + argc, [&](const char* a) { return word == a; });
  };
  const bool signals = has("signals");
  const bool coroutines = has("coroutines");
  const bool threads_end = has("threads");

  Handlers all_time_callback;
  Handlers all_time_probe;
  all_time_callback.make(false, false);
  all_time_callback.attach("*_7");
  all_time_probe.make(true, true);
  all_time_probe.attach("*_6");

  std::deque<Coroutine> all_coroutines;
  if (coroutines) all_coroutines = make_coroutines();
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([=] {
      if (coroutines) return run_coroutines();
      std::minstd_rand random(static_cast<unsigned>(i) + 1);
      while (!stop) {
        if (!threads_end) {
          call_some(random, 1000);
        } else {
          std::thread([&] { call_some(random, 500); }).join();
        }
      }
    });
  }
  if (signals) start_timer();
  const std::uint64_t changes = rotate_for(std::chrono::seconds(argc > 1 ? std::atoi(argv[1]) : 3));
  if (signals) {
    const itimerval never = {};
    setitimer(ITIMER_REAL, &never, nullptr);
  }
  stop = true;
  for (std::thread& t : threads) t.join();

  check_all_time("all the time, callback", all_time_callback, 7, signals);
  check_all_time("all the time, probe", all_time_probe, 6, signals);
  all_time_callback.destroy();
  all_time_probe.destroy();
  static const char* const mistakes[] = {"foreign ops",  "unknown function", "wrong argument",
                                         "foreign data", "wrong result",     "wrong end"};
  for (int i = 0; i < checking::kMistakes; ++i) {
    if (checking::mistakes[i] != 0) {
      fail("handlers saw a %s %llu times", mistakes[i],
           static_cast<unsigned long long>(checking::mistakes[i]));
    }
  }
  if (wrong_results != 0)
    fail("%llu calls had wrong results", static_cast<unsigned long long>(wrong_results));
  std::printf("%llu changes of clients\n", static_cast<unsigned long long>(changes));
  if (failures == 0) std::puts("ok");
  return failures != 0 ? 1 : 0;
}
