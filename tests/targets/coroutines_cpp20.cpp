// C++20 coroutines that interleave, suspended between hooked calls, some destroyed before they finish.
#include <coroutine>
#include <cstdio>
#include <exception>
#include <utility>

#include "calls.h"

namespace {

HOOKED int leaf(int n) {
  CALLED();
  return n + 1;
}

struct Guard {
  HOOKED ~Guard() {
    CALLED_AS("Guard::~Guard");
    leaf(0);
  }
};

class Generator {
 public:
  struct promise_type {
    int value = 0;
    Generator get_return_object() {
      return Generator(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    std::suspend_always initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    std::suspend_always yield_value(int n) {
      value = leaf(n);
      return {};
    }
    void return_void() {}
    void unhandled_exception() { throw; }
  };
  explicit Generator(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  Generator(Generator&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  ~Generator() {
    if (handle_) handle_.destroy();
  }
  bool next() {
    if (!handle_.done()) handle_.resume();
    return !handle_.done();
  }
  int value() const { return handle_.promise().value; }

 private:
  std::coroutine_handle<promise_type> handle_;
};

HOOKED int checked(int n) {
  CALLED();
  if (n == 13) throw n;
  return leaf(n);
}

Generator count(int from, int to) {
  Guard guard;
  for (int i = from; i < to; ++i) co_yield checked(i);
}

}  // namespace

int main() {
  long sum = 0;
  int thrown = 0;
  for (int round = 0; round < 500; ++round) {
    Generator first = count(0, 10);
    Generator second = count(5, 5 + round % 20);
    for (int i = 0; i < 12; ++i) {
      try {
        if (i < 9 && first.next()) sum += first.value();
        if (i < round % 15 && second.next()) sum += second.value();
      } catch (int) {
        ++thrown;
        break;
      }
    }
  }
  std::printf("sum %ld, thrown %d\n", sum, thrown);
  return 0;
}
