// How long the calls of a function take: a histogram over powers of two.
#include <array>
#include <atomic>
#include <bit>
#include <calltap/calltap.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>

namespace {

/// What is to be measured: takes longer for some arguments than for others.
[[gnu::noinline]] unsigned long sum_of_squares(unsigned long n) {
  volatile unsigned long sum = 0;
  for (unsigned long i = 0; i < n; ++i) sum = sum + i * i;
  return sum;
}

std::uint64_t now_ns() {
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch() /
                                    std::chrono::nanoseconds(1));
}

/// Each call's own; the entry handler fills it in, the exit handler reads it.
struct Started {
  std::uint64_t ns;
};

constexpr unsigned kBuckets = 40;

void print(const std::array<std::atomic<unsigned>, kBuckets>& histogram) {
  constexpr unsigned kWidth = 50;
  unsigned total = 0;
  for (const auto& count : histogram) total += count;
  for (unsigned i = 0; i < kBuckets; ++i) {
    if (histogram[i] == 0) continue;
    const int bar = static_cast<int>((histogram[i] * kWidth + total - 1) / total);
    std::printf("below %10llu ns %6u |%.*s\n", 1ULL << i, histogram[i].load(), bar,
                "##################################################");
  }
  std::printf("%u calls\n", total);
}

}  // namespace

int main() {
  // Handlers run on every thread that calls the function: what they share is atomic.
  std::array<std::atomic<unsigned>, kBuckets> histogram{};

  auto probe = calltap::Probe::make<Started>([](calltap::EntryRegs, Started& call) { call.ns = now_ns(); },
                                             [&histogram](calltap::ExitRegs, const Started& call) {
                                               const auto bucket =
                                                   static_cast<unsigned>(std::bit_width(now_ns() - call.ns));
                                               ++histogram[bucket < kBuckets ? bucket : kBuckets - 1];
                                             });
  // value() ends the program with the error's text; a server would look at has_value() and error() instead.
  probe->set_filter_function(sum_of_squares).value();
  probe->attach().value();

  for (unsigned long i = 0; i < 1000; ++i) sum_of_squares(i % 10 == 0 ? 20'000 : i);

  probe->detach().value();
  print(histogram);
  return 0;
}
