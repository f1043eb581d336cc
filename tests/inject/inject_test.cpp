// Parts of src/inject on this process: what it reads of memory, and what it does not believe.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "inject/call_frames.h"
#include "inject/delivery.h"
#include "inject/modules.h"
#include "inject/refusal.h"
#include "inject/unsafe_code.h"

namespace calltap::inject {
namespace {

const std::vector<std::uint8_t> kContents{1, 2, 3};

struct Self {
  TargetMemory memory{::getpid()};
  std::vector<Mapping> mappings = mappings_of(::getpid());
  std::vector<Module> modules = modules_of(mappings, memory);
};

TEST(InjectPermission, SaysWhatForbidsAndWhatToDo) {
  EXPECT_NE(permission_advice(0, false).find("another user"), std::string::npos);
  EXPECT_NE(permission_advice(0, true).find("not dumpable"), std::string::npos);
  EXPECT_NE(permission_advice(1, true).find("ptrace_scope is 1): become root, or set it to 0"),
            std::string::npos);
  EXPECT_NE(permission_advice(2, true).find("ptrace_scope is 2): become root"), std::string::npos);
  EXPECT_NE(permission_advice(3, true).find("ptrace_scope is 3): start it under calltap"), std::string::npos);
}

TEST(InjectDelivery, FillsTheMemfd) {
  const int fd = ::memfd_create("calltap", MFD_CLOEXEC);
  EXPECT_EQ(fill_memfd(::getpid(), fd, kContents), "");
  std::vector<std::uint8_t> found(kContents.size());
  EXPECT_EQ(::pread(fd, found.data(), found.size(), 0), 3);
  EXPECT_EQ(found, kContents);
  ::close(fd);
}

TEST(InjectDelivery, WritesToNoOtherFileThatAProcessMayHavePutThere) {
  std::string path = ::testing::TempDir() + "calltap-inject-XXXXXX";
  const int file = ::mkstemp(path.data());
  EXPECT_NE(fill_memfd(::getpid(), file, kContents), "");
  ::unlink(path.c_str());
  EXPECT_NE(fill_memfd(::getpid(), file, kContents), "");
  struct stat status {};
  EXPECT_EQ(::fstat(file, &status), 0);
  EXPECT_EQ(status.st_size, 0);
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  EXPECT_NE(fill_memfd(::getpid(), pipe[1], kContents), "");
  for (const int fd : {file, pipe[0], pipe[1]}) ::close(fd);
}

TEST(InjectModules, FindsFunctionsInMemory) {
  const Self self;
  const Module* libc = module_at(self.modules, reinterpret_cast<std::uint64_t>(&::getppid));
  ASSERT_NE(libc, nullptr);
  EXPECT_EQ(libc->soname, "libc.so.6");
  ASSERT_NE(libc->function("getppid"), nullptr);
  EXPECT_EQ(libc->function("getppid")->begin, reinterpret_cast<std::uint64_t>(&::getppid));
  EXPECT_FALSE(loader_names(self.modules, self.memory).empty());
}

TEST(InjectModules, DoesNotTakeAFileThatIsOnlyMappedForAModule) {
  const int fd = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  void* mapped = ::mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
  const Self self;
  for (const Module& module : self.modules) EXPECT_NE(module.bias, reinterpret_cast<std::uint64_t>(mapped));
  ::munmap(mapped, 4096);
  ::close(fd);
}

TEST(InjectUnsafeCode, KnowsAllocatorsAndTheLoader) {
  const Self self;
  const UnsafeCode unsafe(self.modules, self.memory);
  for (const char* name : {"malloc", "free", "dlopen", "fork", "pthread_create"}) {
    for (const Module& module : self.modules) {
      const Function* function = module.function(name);
      if (function == nullptr) continue;
      EXPECT_NE(unsafe.find(function->begin + 1), nullptr) << name << " of " << module.path;
    }
  }
  EXPECT_EQ(unsafe.find(reinterpret_cast<std::uint64_t>(&::getppid)), nullptr);
}

TEST(InjectCallFrames, DescribesFunctionsWholly) {
  const Self self;
  const auto address = reinterpret_cast<std::uint64_t>(&::qsort_r);
  const Module* libc = module_at(self.modules, address);
  ASSERT_NE(libc, nullptr);
  const auto frame = frame_at(*libc, self.memory, address + 10);
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->code.begin, address);
  EXPECT_EQ(frame->code.end - frame->code.begin, libc->function("qsort_r")->size);
}

}  // namespace
}  // namespace calltap::inject
