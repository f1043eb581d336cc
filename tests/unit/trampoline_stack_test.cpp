// What the in-target library finds out about stacks: which one is the thread's own, and whether a signal
// handler runs on top of a call.
#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <thread>
#include <vector>

#include "trampoline/own_stack.h"
#include "trampoline/signal_frame.h"

namespace calltap::trampoline {
namespace {

std::uint64_t here() { return reinterpret_cast<std::uint64_t>(__builtin_frame_address(0)); }

/// Where libc says that the calling thread's stack is.
struct Bounds {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
};
Bounds libcs_bounds() {
  pthread_attr_t attributes;
  void* low = nullptr;
  std::size_t size = 0;
  ::pthread_getattr_np(::pthread_self(), &attributes);
  ::pthread_attr_getstack(&attributes, &low, &size);
  ::pthread_attr_destroy(&attributes);
  return {reinterpret_cast<std::uint64_t>(low), reinterpret_cast<std::uint64_t>(low) + size};
}

TEST(OwnStack, OfTheMainThreadHoldsItsCalls) {
  main_stack_address = reinterpret_cast<std::uint64_t>(environ);
  ThreadState thread = {};
  const std::vector<char> heap(1000);
  EXPECT_TRUE(on_own_stack(thread, here(), here() - 100'000));
  EXPECT_TRUE(on_own_stack(thread, main_stack_address, here()));
  EXPECT_FALSE(on_own_stack(thread, reinterpret_cast<std::uint64_t>(heap.data()), here()));
  EXPECT_FALSE(on_own_stack(thread, here(), reinterpret_cast<std::uint64_t>(heap.data())));
}

thread_local char tls[100'000];

TEST(OwnStack, OfAThreadIsWhatLibcMadeForIt) {
  ThreadState state = {};
  std::thread([&state] {
    tls[0] = 1;
    const Bounds bounds = libcs_bounds();
    EXPECT_TRUE(on_own_stack(state, here(), here()));
    // Libc counts the guard page to the stack, or not.
    EXPECT_TRUE(on_own_stack(state, bounds.low + 65536, here()));
    EXPECT_FALSE(on_own_stack(state, bounds.low - 1, here()));
    EXPECT_FALSE(on_own_stack(state, bounds.high, here()));
    // Nothing but libc's own block lies between the first call's frame and the end.
    EXPECT_LE(state.stack_high, bounds.high);
    EXPECT_GT(state.stack_high, here());
    EXPECT_LT(bounds.high - state.stack_high, sizeof tls + 8192);
  }).join();
}

TEST(OwnStack, OfAThreadIsNotThatOfAnother) {
  std::uint64_t others = 0;
  bool is_others = true;
  std::thread([&others] { others = here(); }).join();
  std::thread([&] {
    ThreadState state = {};
    std::thread inner([&others] { others = here(); });
    inner.join();
    is_others = on_own_stack(state, here(), others);
  }).join();
  EXPECT_FALSE(is_others);
}

// A call, standing for a client's handler, whose frames begin below `handler_sp`.
std::uint64_t handler_sp = 0;
bool was_in_handler = false;

void ask(int) { was_in_handler = is_in_signal_handler(here(), handler_sp); }

/// What a hooked call further down the stack would be told; the stack in between keeps what was there before.
[[gnu::noinline]] void ask_from_below(std::size_t bytes) {
  auto* skipped = static_cast<volatile char*>(__builtin_alloca(bytes));
  skipped[0] = 0;
  ask(0);
}

void handle(int signal, int flags) {
  struct sigaction action = {};
  action.sa_handler = ask;
  action.sa_flags = flags;
  ::sigaction(signal, &action, nullptr);
}

class SignalFrame : public testing::Test {
 protected:
  SignalFrame() {
    handler_sp = here();
    was_in_handler = false;
  }
};

TEST_F(SignalFrame, IsFoundFromTheSignalHandler) {
  handle(SIGUSR1, 0);
  ::raise(SIGUSR1);
  EXPECT_TRUE(was_in_handler);
}

TEST_F(SignalFrame, IsFoundThroughTheHandlersCalls) {
  struct sigaction action = {};
  action.sa_handler = [](int) { ask_from_below(50'000); };
  ::sigaction(SIGUSR1, &action, nullptr);
  ::raise(SIGUSR1);
  EXPECT_TRUE(was_in_handler);
}

// With floating-point and vector state in use there is more of it.
TEST_F(SignalFrame, IsFoundWithArgumentsOfTheSignal) {
  struct sigaction action = {};
  action.sa_sigaction = [](int, siginfo_t*, void*) { ask(0); };
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGUSR1, &action, nullptr);
  volatile double value = static_cast<double>(handler_sp);
  value = value * 1.5;
  ::raise(SIGUSR1);
  EXPECT_TRUE(was_in_handler);
}

TEST_F(SignalFrame, IsNotSeenInACall) {
  ask(0);
  EXPECT_FALSE(was_in_handler);
  ask_from_below(50'000);
  EXPECT_FALSE(was_in_handler);
}

TEST_F(SignalFrame, OfAHandlerThatIsOverDoesNotCount) {
  handle(SIGUSR1, 0);
  ::raise(SIGUSR1);
  EXPECT_TRUE(was_in_handler);
  ask_from_below(50'000);
  EXPECT_FALSE(was_in_handler);
}

// The signal came before the call.
TEST_F(SignalFrame, OutsideTheCallDoesNotCount) {
  struct sigaction action = {};
  action.sa_handler = [](int) {
    handler_sp = here();
    ask_from_below(1000);
  };
  ::sigaction(SIGUSR1, &action, nullptr);
  ::raise(SIGUSR1);
  EXPECT_FALSE(was_in_handler);
}

TEST_F(SignalFrame, OnASignalStackCounts) {
  std::vector<char> memory(65536);
  stack_t stack = {};
  stack.ss_sp = memory.data();
  stack.ss_size = memory.size();
  stack_t old = {};
  ASSERT_EQ(::sigaltstack(&stack, &old), 0);
  handle(SIGUSR1, SA_ONSTACK);
  ::raise(SIGUSR1);
  EXPECT_TRUE(was_in_handler);
  was_in_handler = true;
  ask(0);
  EXPECT_FALSE(was_in_handler);
  ::sigaltstack(&old, nullptr);
}

TEST_F(SignalFrame, IsNotLookedForOnACoroutinesStack) {
  static ucontext_t back;
  static ucontext_t coroutine;
  std::vector<char> memory(65536);
  ::getcontext(&coroutine);
  coroutine.uc_stack.ss_sp = memory.data();
  coroutine.uc_stack.ss_size = memory.size();
  coroutine.uc_link = &back;
  ::makecontext(
      &coroutine, [] { ask(0); }, 0);
  was_in_handler = true;
  ::swapcontext(&back, &coroutine);
  EXPECT_FALSE(was_in_handler);
}

}  // namespace
}  // namespace calltap::trampoline
