// Exceptions through hooked frames: deep, nested, rethrown, carried to another thread, out of and into
// destructors that call hooked functions, foreign ones, and from static initialisation.
#include <unwind.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <stdexcept>
#include <thread>

#include "calls.h"

namespace {

constexpr int kRounds = 300;
int destroyed = 0;

HOOKED int leaf(int n) {
  CALLED();
  return n + 1;
}

HOOKED void thrower(int n) {
  CALLED();
  if (n % 3 == 0) throw n;
  if (n % 3 == 1) throw std::runtime_error("odd");
  throw std::bad_alloc();
}

struct Guard {
  // Throws and catches inside while another exception is on its way.
  HOOKED ~Guard() {
    CALLED_AS("Guard::~Guard");
    try {
      thrower(leaf(2));
    } catch (...) {
      ++destroyed;
    }
  }
};

HOOKED int descend(int depth, int n) {
  CALLED();
  Guard guard;
  if (depth == 0) thrower(n);
  const int value = descend(depth - 1, n);
  NOT_A_TAIL_CALL();
  return leaf(value);
}

HOOKED int rethrow(int n) {
  CALLED();
  try {
    return descend(20, n);
  } catch (const std::exception&) {
    leaf(1);
    throw;
  } catch (int value) {
    leaf(2);
    throw value + 1;
  }
}

HOOKED int catcher(int n) {
  CALLED();
  try {
    return rethrow(n);
  } catch (const std::bad_alloc&) {
    return 1;
  } catch (const std::runtime_error&) {
    return 2;
  } catch (...) {
    return 3;
  }
}

HOOKED void nested_throw(int depth) {
  CALLED();
  try {
    if (depth == 0) thrower(0);
    nested_throw(depth - 1);
  } catch (...) {
    std::throw_with_nested(std::runtime_error("layer"));
  }
}

HOOKED int layers(const std::exception& error) {
  CALLED();
  try {
    std::rethrow_if_nested(error);
  } catch (const std::exception& inner) {
    return layers(inner) + 1;
  } catch (int) {
    return 1;
  }
  return 0;
}

HOOKED int across_threads(int n) {
  CALLED();
  std::exception_ptr caught;
  std::thread thread([&] {
    try {
      descend(5, n);
    } catch (...) {
      caught = std::current_exception();
    }
  });
  thread.join();
  try {
    std::rethrow_exception(caught);
  } catch (int value) {
    return value;
  } catch (...) {
    return -1;
  }
}

void free_foreign(_Unwind_Reason_Code, _Unwind_Exception*) {}

HOOKED void throw_foreign() {
  CALLED();
  static _Unwind_Exception exception;
  exception.exception_class = 0x464f524549474e00;
  exception.exception_cleanup = free_foreign;
  _Unwind_RaiseException(&exception);
  std::abort();
}

HOOKED int catch_foreign() {
  CALLED();
  try {
    Guard guard;
    throw_foreign();
  } catch (...) {
    return 1;
  }
  return 0;
}

HOOKED int initialise() {
  CALLED();
  return catcher(1);
}

const int initialised = initialise();

}  // namespace

int main() {
  long sum = initialised;
  for (int i = 0; i < kRounds; ++i) sum += catcher(i);
  std::printf("caught %ld, destroyed %d\n", sum, destroyed);
  try {
    nested_throw(30);
  } catch (const std::exception& error) {
    std::printf("layers %d\n", layers(error));
  }
  sum = 0;
  for (int i = 0; i < 20; ++i) sum += across_threads(i);
  for (int i = 0; i < 20; ++i) sum += catch_foreign();
  std::printf("threads and foreign %ld, destroyed %d\n", sum, destroyed);
  return 0;
}
