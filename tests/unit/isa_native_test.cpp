// What isa/native.h selects for the machine that this runs on: system calls as libc makes them, and the
// clock.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

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

}  // namespace
}  // namespace calltap::isa
