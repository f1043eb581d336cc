// What clients cost: calls of functions that have them, and attaching them. One JSON object on one line, with
// all samples.
//
//   ops_bench calls ROUNDS COUNT         ns a call, COUNT calls a sample
//   ops_bench lists ROUNDS COUNT         the same for many clients, relevant and irrelevant ones
//   ops_bench threads ROUNDS COUNT       the same for two threads at once
//   ops_bench sites ROUNDS MODULE...     us to register and unregister; a MODULE is made from toggle_module.S
//
// The called functions are those of toggle_module.S linked in (SITES of them): a few bytes each, all at the
// same place in a page's 256 bytes. Each contender has a function of its own and stays attached, so that
// contenders can be measured in turn.
#include <dlfcn.h>
#include <immintrin.h>
#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "calltap/calltap.h"

extern "C" {
extern const char toggle_functions[];
long bench_plain(long x);
long bench_pair(long x);
long bench_far(long x);
void bench_direct(void);
}

// The same code as that of toggle_module.S without a sled; with a call more; with a call into the library
// more, of its smallest function; and a direct call's trampoline.
__asm__(
    ".text\n"
    ".p2align 8\n .type bench_plain, @function\n"
    "bench_plain: leaq 1(%rdi), %rax\n ret\n .size bench_plain, . - bench_plain\n"
    ".p2align 8\n .type bench_pair, @function\n"
    "bench_pair: call bench_direct\n leaq 1(%rdi), %rax\n ret\n .size bench_pair, . - bench_pair\n"
    ".p2align 8\n .type bench_far, @function\n"
    "bench_far: pushq %rdi\n call *ct_enabled@GOTPCREL(%rip)\n popq %rdi\n leaq 1(%rdi), "
    "%rax\n ret\n"
    ".size bench_far, . - bench_far\n"
    ".p2align 8\n .globl bench_direct\n .type bench_direct, @function\n"
    "bench_direct: ret\n .size bench_direct, . - bench_direct\n");

namespace {

constexpr std::size_t kStride = 256;  // bytes from one function to the next, as in toggle_module.S
using Function = long (*)(long);

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "ops_bench: %s: %s\n", what, ct_error_text());
  std::exit(1);
}

void check(int result, const char* what) {
  if (result != 0) fail(what);
}

double nanoseconds(clockid_t clock) {
  timespec t = {};
  ::clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
}

void pin(int nth) {
  cpu_set_t allowed;
  ::sched_getaffinity(0, sizeof allowed, &allowed);
  for (int cpu = CPU_SETSIZE - 1; cpu >= 0; --cpu) {
    if (!CPU_ISSET(cpu, &allowed) || nth-- != 0) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    ::sched_setaffinity(0, sizeof one, &one);
    return;
  }
}

/// All samples by name, in the order in which the names came.
class Results {
 public:
  void add(const std::string& name, double value) {
    for (auto& [known, values] : series_) {
      if (known == name) return values.push_back(value);
    }
    series_.emplace_back(name, std::vector{value});
  }
  ~Results() {
    const char* separator = "{";
    for (const auto& [name, values] : series_) {
      std::printf("%s\"%s\": [", std::exchange(separator, ", "), name.c_str());
      for (std::size_t i = 0; i < values.size(); ++i) std::printf("%s%.4f", i == 0 ? "" : ", ", values[i]);
      std::printf("]");
    }
    std::printf("}\n");
  }

 private:
  std::vector<std::pair<std::string, std::vector<double>>> series_;
};

// ------------------------------------------------------------------------------------------------------
// handlers

void on_call(std::uint64_t, std::uint64_t, ct_ops*, ct_regs*) {}
int on_entry(std::uint64_t, std::uint64_t, ct_ops*, ct_regs*, void*) { return 0; }
void on_exit(std::uint64_t, std::uint64_t, ct_ops*, ct_regs*, void*) {}
void on_call_override(std::uint64_t, std::uint64_t, ct_ops*, ct_regs* regs) {
  ct_regs_override_return(regs, ct_regs_argument(regs, 0) + 1);
}

/// A function that no other contender has, and clients for it.
class Target {
 public:
  static constexpr std::size_t kCount = SITES;

  Target() : address_(reinterpret_cast<std::uint64_t>(toggle_functions) + next_++ * kStride) {
    if (next_ > kCount) fail("not enough functions");
  }
  [[nodiscard]] Function function() const { return reinterpret_cast<Function>(address_); }

  Target& callback(unsigned flags, ct_callback* handler = on_call) {
    return attach(ct_new_callback(handler, nullptr, flags));
  }
  Target& probe(unsigned flags) { return attach(ct_new_probe(on_entry, on_exit, 0, nullptr, flags)); }
  Target& direct() {
    check(ct_register_direct(filtered(ct_new_ops(nullptr, 0)), reinterpret_cast<const void*>(bench_direct)),
          "direct");
    return *this;
  }
  Target& redirect() {
    check(ct_register_redirect(filtered(ct_new_ops(nullptr, 0)), reinterpret_cast<const void*>(bench_plain)),
          "redirect");
    return *this;
  }
  ct_ops* filtered(ct_ops* ops) const {
    if (ops == nullptr) fail("new ops");
    check(ct_set_filter_ip(ops, address_, 0, 1), "filter");
    return ops;
  }

 private:
  Target& attach(ct_ops* ops) {
    check(ct_register_ops(filtered(ops)), "register");
    return *this;
  }

  static inline std::size_t next_ = 0;
  std::uint64_t address_;
};

// ---------------------------------------------------------------------------------------------------------
// calls

/// Nanoseconds of CPU time a call. Each call's argument is the result of the one before.
double time_calls(Function function, long count) {
  long x = 0;
  const double begin = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
  for (long i = 0; i < count; ++i) x = function(x);
  const double spent = nanoseconds(CLOCK_THREAD_CPUTIME_ID) - begin;
  if (x != count) fail("a call returned something else");
  return spent / static_cast<double>(count);
}

enum class Upper : unsigned char { kClean, kYmm, kZmm };

/// With the upper halves of vector registers in use all the time.
double time_calls(Function function, long count, Upper upper) {
  if (upper == Upper::kYmm) __asm__ volatile("vpcmpeqd %%ymm5, %%ymm5, %%ymm5" ::: "xmm5");
  if (upper == Upper::kZmm) __asm__ volatile("vpternlogd $255, %%zmm5, %%zmm5, %%zmm5" ::: "xmm5");
  const double time = time_calls(function, count);
  if (upper != Upper::kClean) __asm__ volatile("vzeroupper" ::: "memory");
  return time;
}

struct Contender {
  std::string name;
  Function function;
  Upper upper = Upper::kClean;
};

void measure(Results& results, const std::vector<Contender>& contenders, int rounds, long count) {
  for (const Contender& c : contenders) time_calls(c.function, 1000, c.upper);
  for (int round = 0; round < rounds; ++round) {
    for (const Contender& c : contenders) results.add(c.name, time_calls(c.function, count, c.upper));
  }
}

void calls(int rounds, long count) {
  std::vector<Contender> contenders = {{"plain", bench_plain},
                                       {"plain, a call and return more", bench_pair},
                                       {"plain, a call into the library more", bench_far}};
  const auto add = [&](const char* name, const Target& target, Upper upper = Upper::kClean) {
    contenders.push_back({name, target.function(), upper});
  };
  add("off", Target());
  Target was_on;
  ct_ops* gone = was_on.filtered(ct_new_callback(on_call, nullptr, 0));
  check(ct_register_ops(gone), "register");
  check(ct_unregister_ops(gone), "unregister");
  add("off again", was_on);
  add("direct", Target().direct());
  add("redirect", Target().redirect());
  add("callback, general", Target().callback(CT_GENERAL_REGS_ONLY));
  add("probe, general", Target().probe(CT_GENERAL_REGS_ONLY));
  add("override, general", Target().callback(CT_GENERAL_REGS_ONLY, on_call_override));
  add("direct and callback, general", Target().direct().callback(CT_GENERAL_REGS_ONLY));
  add("redirect and callback, general", Target().redirect().callback(CT_GENERAL_REGS_ONLY));

  const Target callback = Target().callback(0);
  const Target probe = Target().probe(0);
  add("callback", callback);
  add("probe", probe);
  add("override", Target().callback(0, on_call_override));
  if (__builtin_cpu_supports("avx2") != 0) {
    add("callback, ymm in use", callback, Upper::kYmm);
    add("probe, ymm in use", probe, Upper::kYmm);
  }
  if (__builtin_cpu_supports("avx512f") != 0) {
    add("callback, zmm in use", callback, Upper::kZmm);
    add("probe, zmm in use", probe, Upper::kZmm);
  }
  Results results;
  measure(results, contenders, rounds, count);
}

// ---------------------------------------------------------------------------------------------------------
// lists

void lists(int rounds, long count) {
  constexpr int kRelevant[] = {0, 1, 2, 10, 100};
  constexpr std::size_t kIrrelevant[] = {0, 1, 10, 100, 1000};
  const auto name = [](const char* kind, int relevant, std::size_t irrelevant) {
    return std::string(kind) + " " + std::to_string(relevant) + " of " +
           std::to_string(static_cast<std::size_t>(relevant) + irrelevant);
  };
  struct Row {
    const char* kind;
    int relevant;
    Function function;
  };
  std::vector<Row> rows;
  for (const int relevant : kRelevant) {
    Target callbacks;
    Target probes;
    for (int i = 0; i < relevant; ++i) callbacks.callback(CT_GENERAL_REGS_ONLY);
    rows.push_back({"callbacks", relevant, callbacks.function()});
    for (int i = 0; i < relevant; ++i) probes.probe(CT_GENERAL_REGS_ONLY);
    if (relevant != 0) rows.push_back({"probes", relevant, probes.function()});
  }
  // Attached to a function that nobody calls, or to one that all of them share.
  const Target shared;
  std::vector<ct_ops*> irrelevant;
  const auto set_irrelevant = [&](std::size_t wanted) {
    while (irrelevant.size() > wanted) {
      check(ct_free_ops(irrelevant.back()), "unregister");
      irrelevant.pop_back();
    }
    while (irrelevant.size() < wanted) {
      irrelevant.push_back(shared.filtered(ct_new_callback(on_call, nullptr, CT_GENERAL_REGS_ONLY)));
      check(ct_register_ops(irrelevant.back()), "register");
    }
  };
  Results results;
  for (int round = 0; round < rounds; ++round) {
    for (const std::size_t others : kIrrelevant) {
      set_irrelevant(others);
      for (const Row& row : rows) {
        const long fewer = row.relevant < 10 ? count : count / row.relevant;
        results.add(name(row.kind, row.relevant, others), time_calls(row.function, fewer));
      }
    }
    set_irrelevant(0);
  }
}

// -------------------------------------------------------------------------------------------------------
// threads

/// Both threads start together; the mean of what a call took each.
double time_two(Function function, long count) {
  std::atomic<int> ready{0};
  double times[2] = {};
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&, i] {
      pin(i);
      time_calls(function, 1000);
      ++ready;
      while (ready.load() != 2) {
      }
      times[i] = time_calls(function, count);
    });
  }
  for (std::thread& thread : threads) thread.join();
  return (times[0] + times[1]) / 2;
}

void threads(int rounds, long count) {
  Target callback;
  Target probe;
  Target list;
  callback.callback(CT_GENERAL_REGS_ONLY);
  probe.probe(CT_GENERAL_REGS_ONLY);
  for (int i = 0; i < 10; ++i) list.callback(CT_GENERAL_REGS_ONLY);
  const std::vector<Contender> contenders = {{"plain", bench_plain},
                                             {"callback, general", callback.function()},
                                             {"probe, general", probe.function()},
                                             {"10 callbacks, general", list.function()}};
  Results results;
  for (int round = 0; round < rounds; ++round) {
    for (const Contender& c : contenders) {
      results.add(c.name + ": one thread", time_calls(c.function, count));
      results.add(c.name + ": two threads", time_two(c.function, count));
    }
  }
}

// ---------------------------------------------------------------------------------------------------------
// sites

/// Microseconds of the calling thread and of the clock.
template <class Work>
void time_change(Results& results, const std::string& name, Work work) {
  const double cpu = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
  const double wall = nanoseconds(CLOCK_MONOTONIC);
  work();
  results.add(name, (nanoseconds(CLOCK_MONOTONIC) - wall) / 1e3);
  results.add(name + ": CPU", (nanoseconds(CLOCK_THREAD_CPUTIME_ID) - cpu) / 1e3);
}

struct Change {
  std::string name;
  ct_ops* ops;
  std::size_t sites;
};

void sites(int rounds, const std::vector<const char*>& modules) {
  std::vector<Change> changes;
  constexpr std::size_t kOne = 5000;  // only the largest module has so many
  std::uint64_t one = 0;
  for (const char* path : modules) {
    void* handle = ::dlopen(path, RTLD_NOW);
    if (handle == nullptr) fail(::dlerror());
    one = reinterpret_cast<std::uint64_t>(::dlsym(handle, "toggle_functions")) + kOne * kStride;
    ct_ops* ops = ct_new_callback(on_call, nullptr, CT_GENERAL_REGS_ONLY);
    const char* slash = std::strrchr(path, '/');
    const std::string file = slash == nullptr ? path : slash + 1;
    if (ops == nullptr) fail("new ops");
    check(ct_set_filter(ops, (file + ":*").c_str(), 1), "filter");
    changes.push_back({file, ops, 0});
  }
  // One of the largest module's, by its three names.
  ct_ops* by_address = ct_new_callback(on_call, nullptr, CT_GENERAL_REGS_ONLY);
  check(ct_set_filter_ip(by_address, one, 0, 1), "filter");
  changes.push_back({"1 site by address", by_address, 1});
  ct_ops* by_symbol = ct_new_callback(on_call, nullptr, CT_GENERAL_REGS_ONLY);
  check(ct_set_filter_symbol(by_symbol, "toggle_5000", 1), "filter");
  changes.push_back({"1 site by symbol", by_symbol, 1});
  ct_ops* by_glob = ct_new_callback(on_call, nullptr, CT_GENERAL_REGS_ONLY);
  check(ct_set_filter(by_glob, "toggle_500[0]", 1), "filter");
  changes.push_back({"1 site by pattern", by_glob, 1});

  Results results;
  for (int round = -1; round < rounds; ++round) {
    const std::string first = round < 0 ? ", the first time" : "";
    for (Change& c : changes) {
      time_change(results, c.name + ": register" + first, [&] { check(ct_register_ops(c.ops), "register"); });
      if (round < 0) results.add(c.name + ": sites", static_cast<double>(ct_ops_functions(c.ops)));
      time_change(results, c.name + ": unregister" + first,
                  [&] { check(ct_unregister_ops(c.ops), "unregister"); });
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: ops_bench calls|lists|threads ROUNDS COUNT, or sites ROUNDS MODULE...\n");
    return 2;
  }
  const int rounds = std::atoi(argv[2]);
  pin(0);
  if (std::strcmp(argv[1], "calls") == 0) calls(rounds, std::atol(argv[3]));
  if (std::strcmp(argv[1], "lists") == 0) lists(rounds, std::atol(argv[3]));
  if (std::strcmp(argv[1], "threads") == 0) threads(rounds, std::atol(argv[3]));
  if (std::strcmp(argv[1], "sites") == 0) sites(rounds, {argv + 3, argv + argc});
  return 0;
}
