// How long switching all sites of a module on and off takes, and how long threads that call its functions all
// the time are held up by that. One line of JSON.
//
//   toggle_bench MODULE SITES THREADS ROUNDS      MODULE is made from toggle_module.S
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "isa/native.h"
#include "patch/core_sync.h"
#include "patch/patcher.h"
#include "recorder/process.h"
#include "site/sites.h"
#include "trampoline/code.h"
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

/// How long the calling thread has waited for a CPU since it started, as the kernel accounts it.
class CpuWait {
 public:
  CpuWait() : fd_(::open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC)) {}
  ~CpuWait() { ::close(fd_); }
  CpuWait(const CpuWait&) = delete;
  CpuWait& operator=(const CpuWait&) = delete;

  /// Milliseconds; 0 where the kernel does not account it.
  [[nodiscard]] double read() const {
    char text[64] = {};
    if (::pread(fd_, text, sizeof text - 1, 0) <= 0) return 0;
    char* wait = nullptr;
    static_cast<void>(std::strtoull(text, &wait, 10));  // the first number is time on a CPU
    return static_cast<double>(std::strtoull(wait, nullptr, 10)) / 1e6;
  }

 private:
  int fd_;
};

/// Milliseconds between two calls of a thread.
struct Pause {
  double all = 0;
  double not_waiting = 0;  // without waiting for a CPU: what the thread itself was held up by
};

/// Threads that call one function of the module after the other, and note the longest pause between two
/// calls.
class Callers {
 public:
  Callers(int count, const std::uint8_t* first, std::size_t sites, double ticks_per_ms)
      : longest_(static_cast<std::size_t>(count)), first_(first), sites_(sites), ticks_per_ms_(ticks_per_ms) {
    for (Longest& longest : longest_) threads_.emplace_back([this, &longest] { call(longest); });
    while (started_.load() < count) std::this_thread::yield();
    ::usleep(20'000);  // until the scheduler has spread them
  }
  ~Callers() {
    stop_ = true;
    for (std::thread& t : threads_) t.join();
  }
  Callers(const Callers&) = delete;
  Callers& operator=(const Callers&) = delete;

  /// The longest pause of any thread since the last call of this.
  Pause take_longest() {
    Pause pause;
    for (Longest& longest : longest_) {
      pause.all = std::max(pause.all, longest.all.exchange(0));
      pause.not_waiting = std::max(pause.not_waiting, longest.not_waiting.exchange(0));
    }
    return pause;
  }

 private:
  struct Longest {
    std::atomic<double> all{0};
    std::atomic<double> not_waiting{0};
  };

  void call(Longest& longest) {
    const CpuWait cpu_wait;
    const auto suspicious = static_cast<std::uint64_t>(ticks_per_ms_ / 50);  // 20 us: look closer
    double waited_before = cpu_wait.read();
    ++started_;
    std::uint64_t before = isa::native::read_clock();
    for (std::size_t i = 0; !stop_.load(std::memory_order_relaxed); i = i + 1 == sites_ ? 0 : i + 1) {
      const auto function =
          reinterpret_cast<long (*)(long)>(reinterpret_cast<std::uint64_t>(first_ + i * kStride));
      if (function(static_cast<long>(i)) != static_cast<long>(i) + 1) std::abort();
      const std::uint64_t now = isa::native::read_clock();
      if (now - before > suspicious) {
        const double pause = static_cast<double>(now - before) / ticks_per_ms_;
        const double waited = cpu_wait.read();
        raise(longest.all, pause);
        raise(longest.not_waiting, pause - (waited - waited_before));
        waited_before = waited;
        before = isa::native::read_clock();
      } else {
        before = now;
      }
    }
  }

  static void raise(std::atomic<double>& longest, double pause) {
    if (pause > longest.load(std::memory_order_relaxed)) longest.store(pause);
  }

  std::vector<Longest> longest_;
  const std::uint8_t* first_;
  std::size_t sites_;
  double ticks_per_ms_;
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
  target.selection.handler = trampoline::code().bare_hook;
}

/// One value a round of everything that is measured.
class Series {
 public:
  void add(const char* name, double value) {
    for (auto& [known, values] : series_) {
      if (known == name) return values.push_back(value);
    }
    series_.emplace_back(name, std::vector{value});
  }
  void print() const {
    for (const auto& [name, values] : series_) {
      std::printf(", \"%s\": [", name.c_str());
      for (std::size_t i = 0; i < values.size(); ++i) std::printf("%s%.4f", i == 0 ? "" : ", ", values[i]);
      std::printf("]");
    }
  }

 private:
  std::vector<std::pair<std::string, std::vector<double>>> series_;
};

void check(const base::Result<void>& result) {
  if (!result) fail("cannot switch the sites");
}

void toggle(patch::ModulePatch& module, const Target& target, int threads, int rounds, Series& series) {
  const std::size_t count = target.sites.size();
  Callers callers(threads, target.first, count, ticks_per_millisecond());
  for (int round = 0; round < rounds; ++round) {
    // The same time once with and once without switching: what the scheduler and others do is in both.
    static_cast<void>(callers.take_longest());
    const double begin = milliseconds(CLOCK_MONOTONIC);
    const Cost on = cost_of([&] { check(patch::Patcher().enable(module)); });
    ::usleep(20'000);
    const Cost off = cost_of([&] { check(patch::Patcher().disable(module)); });
    const Pause with = callers.take_longest();
    ::usleep(static_cast<useconds_t>((milliseconds(CLOCK_MONOTONIC) - begin) * 1e3));
    const Pause without = callers.take_longest();
    series.add("enable_wall_ms", on.wall);
    series.add("enable_cpu_ms", on.cpu);
    series.add("disable_wall_ms", off.wall);
    series.add("disable_cpu_ms", off.cpu);
    series.add("pause_ms", with.not_waiting);
    series.add("pause_without_ms", without.not_waiting);
    series.add("pause_with_waiting_ms", with.all);
    series.add("pause_without_with_waiting_ms", without.all);
  }
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
  Series series;
  toggle(module, target, thread_count, rounds, series);
  plan::Method method{};
  module.for_each([&method](const auto& record) { method = static_cast<plan::Method>(record.method); });
  std::printf("{\"sites\": %zu, \"threads\": %d, \"method\": \"%s\"", count, thread_count,
              plan::name(method).data());
  std::printf(", \"prepare_wall_ms\": %.3f, \"prepare_cpu_ms\": %.3f", prepare.wall, prepare.cpu);
  std::printf(", \"anonymous_kib\": %ld", anonymous_after - anonymous_before);
  series.print();
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
