// Makes every 1000th allocation of a program fail, to see whether it copes.
#include <atomic>
#include <calltap/calltap.hpp>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

/// What the program gets its memory from.
[[gnu::noinline]] void* pool_allocate(std::size_t bytes) { return std::malloc(bytes); }

/// Copes with an allocation that fails, or so it claims.
bool store(const std::string& text) {
  void* copy = pool_allocate(text.size() + 1);
  if (copy == nullptr) return false;
  text.copy(static_cast<char*>(copy), text.size());
  std::free(copy);
  return true;
}

}  // namespace

int main() {
  std::atomic<unsigned> allocations{0};
  auto fault = calltap::Callback::make(
      [&allocations](calltap::EntryRegs regs) {
        // The body does not run: pool_allocate() returns this.
        if (++allocations % 1000 == 0) regs.override_return<void*>(nullptr);
      },
      {.name = "out of memory"});
  fault->set_filter_function(pool_allocate).value();
  fault->attach().value();

  unsigned stored = 0;
  unsigned refused = 0;
  for (int i = 0; i < 10'000; ++i) ++(store("record " + std::to_string(i)) ? stored : refused);
  std::printf("%u allocations: %u stored, %u refused, and the program goes on\n", allocations.load(), stored,
              refused);

  // The end of `fault` detaches it; its own detach() would say if that failed.
  fault->detach().value();
  std::printf("without the fault: %s\n", store("one more") ? "stored" : "refused");
  return 0;
}
