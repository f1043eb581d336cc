// operator new and delete of the program, hooked, under containers and threads.
#include <cstdio>
#include <cstdlib>
#include <map>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "calls.h"

HOOKED void* operator new(std::size_t bytes) {
  CALLED_AS("operator new");
  void* block = std::malloc(bytes == 0 ? 1 : bytes);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}

HOOKED void operator delete(void* block) noexcept {
  CALLED_AS("operator delete");
  std::free(block);
}

HOOKED void operator delete(void* block, std::size_t) noexcept {
  CALLED_AS("operator delete");
  std::free(block);
}

namespace {

HOOKED std::size_t fill(int n) {
  CALLED();
  std::map<int, std::string> words;
  for (int i = 0; i < n; ++i) words[i * 7 % n] = std::string(static_cast<std::size_t>(i + 20), 'x');
  std::size_t sum = 0;
  for (const auto& [key, word] : words) sum += word.size();
  return sum;
}

}  // namespace

int main() {
  std::vector<std::thread> threads;
  std::size_t sums[4] = {};
  for (std::size_t& sum : sums) {
    threads.emplace_back([&sum] {
      for (int i = 1; i < 50; ++i) sum += fill(i * 5);
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::printf("%zu %zu\n", sums[0], sums[3]);
  return 0;
}
