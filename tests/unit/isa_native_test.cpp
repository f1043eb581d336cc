// What isa/native.h selects for the machine that this runs on: system calls as libc makes them, the clock,
// and changes that no signal handler comes between.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <ctime>
#include <thread>

#include "isa/system.h"

namespace calltap::isa {
namespace {

TEST(NativeSystemCalls, AnswerAsLibcDoes) {
  EXPECT_EQ(current_pid(), ::getpid());
  EXPECT_EQ(current_tid(), ::gettid());
}

TEST(NativeSystemCalls, ReturnNegativeErrors) {
  const long result = native::system_call(SYS_close, -1);
  EXPECT_EQ(result, -EBADF);
  EXPECT_TRUE(is_error(result));
}

// mmap has six, and each decides what comes of it.
TEST(NativeSystemCalls, PassSixArguments) {
  const long page = ::sysconf(_SC_PAGESIZE);
  const int file = ::memfd_create("six", MFD_CLOEXEC);
  ASSERT_GE(file, 0);
  ASSERT_EQ(::ftruncate(file, 2 * page), 0);
  ASSERT_EQ(::pwrite(file, "second", 6, page), 6);
  void* place = map_memory(static_cast<std::size_t>(page));
  ASSERT_NE(place, nullptr);
  const long result = native::system_call(SYS_mmap, reinterpret_cast<long>(place), page, PROT_READ,
                                          MAP_SHARED | MAP_FIXED, file, page);
  ASSERT_EQ(result, reinterpret_cast<long>(place));
  EXPECT_STREQ(static_cast<const char*>(place), "second");
  unmap_memory(place, static_cast<std::size_t>(page));
  ::close(file);
}

TEST(NativeClock, GoesOnWhileTimePasses) {
  const unsigned long long before = native::read_clock();
  const timespec pause = {0, 5'000'000};
  ::nanosleep(&pause, nullptr);
  EXPECT_GT(native::read_clock(), before);
}

TEST(NativeThreadPointer, IsTheThreadsOwn) {
  EXPECT_EQ(native::thread_pointer(), reinterpret_cast<std::uintptr_t>(__builtin_thread_pointer()));
  std::uint64_t others = 0;
  std::thread([&others] { others = native::thread_pointer(); }).join();
  EXPECT_NE(others, native::thread_pointer());
}

/// While it lives, another thread sends SIGUSR1 to this one, over and over.
class SignalStorm {
 public:
  explicit SignalStorm(void (*handler)(int)) {
    struct sigaction action = {};
    action.sa_handler = handler;
    ::sigaction(SIGUSR1, &action, &old_);
    sender_ = std::thread([this, target = ::pthread_self()] {
      while (!over_) ::pthread_kill(target, SIGUSR1);
    });
  }
  ~SignalStorm() {
    over_ = true;
    sender_.join();
    ::sigaction(SIGUSR1, &old_, nullptr);
  }

 private:
  struct sigaction old_ = {};
  std::atomic<bool> over_{false};
  std::thread sender_;
};

constexpr std::uint64_t kSignals = 20'000;

// Every alignment of both ends, and lengths of less than a word to several; what lies beside stays.
TEST(NativeMemory, CopiesAndFillsWhatItIsAskedTo) {
  constexpr std::size_t kMost = 80;
  std::uint8_t from[kMost + 16];
  for (std::size_t i = 0; i < sizeof from; ++i) from[i] = static_cast<std::uint8_t>(i + 1);
  for (std::size_t in = 0; in < 8; ++in) {
    for (std::size_t out = 0; out < 8; ++out) {
      for (std::size_t n = 0; n <= kMost; ++n) {
        std::uint8_t to[kMost + 16] = {};
        std::uint8_t expected[sizeof to] = {};
        native::copy_bytes(to + out, from + in, n);
        for (std::size_t i = 0; i < n; ++i) expected[out + i] = from[in + i];
        ASSERT_TRUE(std::equal(to, to + sizeof to, expected)) << in << ' ' << out << ' ' << n;
        native::fill_bytes(to + out, 0x1a5, n);
        for (std::size_t i = 0; i < n; ++i) expected[out + i] = 0xa5;
        ASSERT_TRUE(std::equal(to, to + sizeof to, expected)) << out << ' ' << n;
      }
    }
  }
}

TEST(NativeMemory, MovesDownwards) {
  for (std::size_t distance = 1; distance <= 24; ++distance) {
    std::uint8_t bytes[200];
    for (std::size_t i = 0; i < sizeof bytes; ++i) bytes[i] = static_cast<std::uint8_t>(i);
    native::copy_bytes(bytes, bytes + distance, 150);
    for (std::size_t i = 0; i < 150; ++i) ASSERT_EQ(bytes[i], i + distance) << distance;
  }
}

std::uint64_t counter = 0;
volatile std::uint64_t handled = 0;

TEST(NativeAddOnce, LosesNothingToSignalHandlers) {
  std::uint64_t added = 0;
  {
    const SignalStorm storm([](int) {
      native::add_once(counter, 1);
      handled = handled + 1;
    });
    for (; handled < kSignals; ++added) native::add_once(counter, 3);
  }
  EXPECT_EQ(counter, handled + 3 * added);
}

std::int32_t owner = -1;
volatile bool is_handlers = false;

// As call frames are claimed: a claim that succeeds is the only one, and a handler may keep what it has
// claimed.
TEST(NativeIncrementIsZero, ClaimsForOneOnly) {
  handled = 0;
  std::uint64_t claimed_twice = 0;
  std::uint64_t lost = 0;
  {
    const SignalStorm storm([](int) {
      if (native::increment_is_zero(owner)) is_handlers = true;
      handled = handled + 1;
    });
    while (handled < kSignals) {
      const bool claimed = native::increment_is_zero(owner);
      if (claimed && is_handlers) ++claimed_twice;
      if (!claimed) ++lost;
      is_handlers = false;
      __atomic_store_n(&owner, -1, __ATOMIC_RELEASE);
    }
  }
  EXPECT_EQ(claimed_twice, 0u);
  EXPECT_GT(lost, 0u);
}

}  // namespace
}  // namespace calltap::isa
