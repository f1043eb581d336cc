// How long switching all sites of a module on and off takes, and how long threads that call its functions all
// the time are held up by that. One line of JSON.
//
//   toggle_bench MODULE SITES THREADS ROUNDS      MODULE is made from toggle_module.S
#include <dlfcn.h>
#include <link.h>
#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <thread>
#include <vector>

#include "isa/native.h"
#include "patch/core_sync.h"
#include "patch/patcher.h"
#include "recorder/process.h"
#include "site/sites.h"
#include "trampoline/frames.h"

namespace calltap {
namespace {

constexpr std::size_t kStride = 256;  // bytes from one function to the next, as in toggle_module.S

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "toggle_bench: %s\n", what);
  std::exit(1);
}

double milliseconds(clockid_t clock) {
  timespec t = {};
  ::clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_nsec) / 1e6;
}

/// What an operation took: on the clock, and of the CPU. With more threads than CPUs the first is mostly
/// waiting.
struct Cost {
  double wall;
  double cpu;
};

template <class Work>
Cost cost_of(Work work) {
  const double wall = milliseconds(CLOCK_MONOTONIC);
  const double cpu = milliseconds(CLOCK_THREAD_CPUTIME_ID);
  work();
  return {milliseconds(CLOCK_MONOTONIC) - wall, milliseconds(CLOCK_THREAD_CPUTIME_ID) - cpu};
}

/// Threads that call one function of the module after the other, and note the longest time between two calls.
class Callers {
 public:
  Callers(int count, const std::uint8_t* first, std::size_t sites)
      : longest_(static_cast<std::size_t>(count)) {
    for (std::size_t i = 0; i < longest_.size(); ++i) {
      threads_.emplace_back([this, i, first, sites] { call(longest_[i], first, sites); });
    }
    while (started_.load() < count) std::this_thread::yield();
  }
  ~Callers() {
    stop_ = true;
    for (std::thread& t : threads_) t.join();
  }
  Callers(const Callers&) = delete;
  Callers& operator=(const Callers&) = delete;

  /// Clock ticks of the longest pause of any thread since the last call of this.
  std::uint64_t take_longest() {
    std::uint64_t longest = 0;
    for (auto& l : longest_) longest = std::max(longest, l.exchange(0));
    return longest;
  }

 private:
  void call(std::atomic<std::uint64_t>& longest, const std::uint8_t* first, std::size_t sites) {
    ++started_;
    std::uint64_t before = isa::native::read_clock();
    for (std::size_t i = 0; !stop_.load(std::memory_order_relaxed); i = i + 1 == sites ? 0 : i + 1) {
      const auto function =
          reinterpret_cast<long (*)(long)>(reinterpret_cast<std::uint64_t>(first + i * kStride));
      if (function(static_cast<long>(i)) != static_cast<long>(i) + 1) std::abort();
      const std::uint64_t now = isa::native::read_clock();
      if (now - before > longest.load(std::memory_order_relaxed)) longest.store(now - before);
      before = now;
    }
  }

  std::vector<std::atomic<std::uint64_t>> longest_;
  std::vector<std::thread> threads_;
  std::atomic<int> started_{0};
  std::atomic<bool> stop_{false};
};

double ticks_per_millisecond() {
  const double begin = milliseconds(CLOCK_MONOTONIC);
  const std::uint64_t ticks = isa::native::read_clock();
  ::usleep(50'000);
  return static_cast<double>(isa::native::read_clock() - ticks) / (milliseconds(CLOCK_MONOTONIC) - begin);
}

long anonymous_kib() {
  long kib = 0;
  char line[256];
  std::FILE* status = std::fopen("/proc/self/status", "r");
  while (status != nullptr && std::fgets(line, sizeof line, status) != nullptr) {
    if (std::strncmp(line, "RssAnon:", 8) == 0) kib = std::atol(line + 8);
  }
  if (status != nullptr) std::fclose(status);
  return kib;
}

/// The module, loaded and with its sites known.
struct Target {
  site::ElfFile file;
  base::Array<site::Site> sites;
  base::Array<std::uint32_t> all;
  patch::Selection selection;
  const std::uint8_t* first = nullptr;
};

void load(const char* path, std::size_t count, Target& target) {
  void* handle = ::dlopen(path, RTLD_NOW);
  if (handle == nullptr) fail(::dlerror());
  target.first = static_cast<const std::uint8_t*>(::dlsym(handle, "toggle_functions"));
  link_map* map = nullptr;
  ::dlinfo(handle, RTLD_DI_LINKMAP, &map);
  auto file = site::ElfFile::open(path);
  if (!file) fail("cannot read the module");
  target.file = std::move(*file);
  auto sites = site::discover(target.file);
  if (!sites || sites->size() != count) fail("the module has not the sites that it should have");
  target.sites = std::move(*sites);
  if (!target.all.resize(count)) fail("no memory");
  std::iota(target.all.begin(), target.all.end(), 0U);
  target.selection.file = &target.file;
  target.selection.sites = target.sites;
  target.selection.selected = target.all;
  target.selection.load_bias = map->l_addr;
  target.selection.handler = ct_bare_hook;
}

void print_series(const char* name, const std::vector<double>& values) {
  std::printf(", \"%s\": [", name);
  for (std::size_t i = 0; i < values.size(); ++i) std::printf("%s%.4f", i == 0 ? "" : ", ", values[i]);
  std::printf("]");
}

void check(const base::Result<void>& result) {
  if (!result) fail("cannot switch the sites");
}

void run(const char* path, std::size_t count, int thread_count, int rounds) {
  Target target;
  load(path, count, target);
  patch::ModulePatch module;
  const long anonymous_before = anonymous_kib();
  const Cost prepare = cost_of([&] {
    patch::Patcher patcher;
    const auto counts = patcher.prepare(target.selection, module);
    if (!counts || counts->prepared != count) fail("cannot prepare all sites");
  });
  const long anonymous_after = anonymous_kib();
  const double ticks = ticks_per_millisecond();
  std::vector<double> enable_wall;
  std::vector<double> enable_cpu;
  std::vector<double> disable_wall;
  std::vector<double> disable_cpu;
  std::vector<double> pause;
  std::vector<double> pause_without;
  Callers callers(thread_count, target.first, count);
  ::usleep(20'000);  // until the scheduler has spread them
  for (int round = 0; round < rounds; ++round) {
    // The same time once with and once without switching: what the scheduler and others do is in both.
    callers.take_longest();
    const double begin = milliseconds(CLOCK_MONOTONIC);
    const Cost on = cost_of([&] { check(patch::Patcher().enable(module, 0, count)); });
    ::usleep(20'000);
    const Cost off = cost_of([&] { check(patch::Patcher().disable(module, 0, count)); });
    pause.push_back(static_cast<double>(callers.take_longest()) / ticks);
    ::usleep(static_cast<useconds_t>((milliseconds(CLOCK_MONOTONIC) - begin) * 1e3));
    pause_without.push_back(static_cast<double>(callers.take_longest()) / ticks);
    enable_wall.push_back(on.wall);
    enable_cpu.push_back(on.cpu);
    disable_wall.push_back(off.wall);
    disable_cpu.push_back(off.cpu);
  }
  const auto method = static_cast<plan::Method>(module.records()[0].method);
  std::printf(
      "{\"sites\": %zu, \"threads\": %d, \"method\": \"%s\", \"prepare_wall_ms\": %.3f, \"prepare_cpu_ms\": "
      "%.3f",
      count, thread_count, plan::name(method).data(), prepare.wall, prepare.cpu);
  std::printf(", \"anonymous_kib\": %ld", anonymous_after - anonymous_before);
  print_series("enable_wall_ms", enable_wall);
  print_series("enable_cpu_ms", enable_cpu);
  print_series("disable_wall_ms", disable_wall);
  print_series("disable_cpu_ms", disable_cpu);
  print_series("pause_ms", pause);
  print_series("pause_without_ms", pause_without);
  std::printf("}\n");
}

}  // namespace
}  // namespace calltap

extern "C" void ct_thread_started(calltap::trampoline::ThreadState* /*thread*/) {}

int main(int argc, char** argv) {
  if (argc != 5) calltap::fail("usage: toggle_bench MODULE SITES THREADS ROUNDS");
  if (!calltap::recorder::initialise()) calltap::fail("no memory");
  if (!calltap::patch::register_core_sync()) calltap::fail("the kernel cannot synchronise cores");
  calltap::run(argv[1], std::strtoul(argv[2], nullptr, 10), std::atoi(argv[3]), std::atoi(argv[4]));
  return 0;
}
