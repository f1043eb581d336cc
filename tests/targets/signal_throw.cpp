// A signal handler that throws (-fnon-call-exceptions): the exception passes the signal frame and hooked
// functions on both sides of it. First from a fault inside a hooked function, then from raise().
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "calls.h"

namespace {

constexpr int kRounds = 2000;

struct Fault {
  int number;
};

int destroyed = 0;

// Through a pointer: the library's raise() is declared noexcept.
int (*volatile raiser)(int) = std::raise;

struct Guard {
  HOOKED ~Guard() {
    CALLED_AS("Guard::~Guard");
    ++destroyed;
  }
};

HOOKED void throw_fault(int number) {
  CALLED();
  const sigset_t none{};
  sigprocmask(SIG_SETMASK, &none, nullptr);
  throw Fault{number};
}

HOOKED void on_signal(int number) {
  CALLED();
  throw_fault(number);
}

HOOKED int load(volatile int* address) {
  CALLED();
  return *address;
}

HOOKED int middle(volatile int* address) {
  CALLED();
  Guard guard;
  const int value = load(address);
  NOT_A_TAIL_CALL();
  return value + 1;
}

HOOKED int raising() {
  CALLED();
  Guard guard;
  return raiser(SIGUSR1);
}

HOOKED int outer(volatile int* address) {
  CALLED();
  try {
    return address == nullptr ? middle(address) : raising();
  } catch (const Fault& fault) {
    return fault.number;
  }
}

}  // namespace

int main() {
  struct sigaction action = {};
  action.sa_handler = on_signal;
  if (sigaction(SIGSEGV, &action, nullptr) != 0 || sigaction(SIGUSR1, &action, nullptr) != 0) std::abort();
  long sum = 0;
  volatile int here = 0;
  for (int i = 0; i < kRounds; ++i) sum += outer(i % 2 == 0 ? nullptr : &here);
  std::printf("sum %ld, destroyed %d\n", sum, destroyed);
  return 0;
}
