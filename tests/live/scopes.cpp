// C++ threads that come and go and throw through hooked functions, for as long as standard input is open.
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <stdexcept>
#include <thread>
#include <vector>

namespace {

std::atomic<unsigned long> caught{0};
std::atomic<bool> stopping{false};

}  // namespace

namespace scopes {

struct Job {
  [[gnu::noinline]] explicit Job(unsigned number) : number_(number) { asm volatile("" ::: "memory"); }
  [[gnu::noinline]] ~Job() { asm volatile("" ::: "memory"); }
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;
  [[gnu::noinline]] void run() const {
    if (number_ % 2 != 0) throw std::runtime_error("odd");
  }

 private:
  unsigned number_;
};

[[gnu::noinline]] void work(unsigned number) {
  const Job job(number);
  job.run();
}

}  // namespace scopes

int main() {
  std::thread starter([] {
    while (!stopping) {
      std::vector<std::thread> threads;
      for (int i = 0; i < 3; ++i) {
        threads.emplace_back([] {
          for (unsigned number = 0; number < 100; ++number) {
            try {
              scopes::work(number);
            } catch (const std::exception&) {
              ++caught;
            }
          }
        });
      }
      for (std::thread& thread : threads) thread.join();
      usleep(1000);
    }
  });
  std::puts("ready");
  std::fflush(stdout);
  char byte;
  while (read(0, &byte, 1) > 0) continue;
  stopping = true;
  starter.join();
  return caught % 50 == 0 && caught > 0 ? 0 : 1;
}
