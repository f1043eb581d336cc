// What a thread's first hooked call needs.
#include <gtest/gtest.h>
#include <sys/syscall.h>

#include <thread>

#include "denied_system_call.h"
#include "isa/system.h"
#include "patched_module.h"
#include "trampoline/frames.h"

namespace calltap::patch {
namespace {

// Mapping memory waits for whoever holds the address space's lock: a patcher in the middle of a write.
TEST(ThreadStart, TheFirstHookedCallMapsNoMemory) {
  PatchedModule module("gcc_18_16");
  ASSERT_EQ(module.prepare(), "");
  ASSERT_EQ(module.enable(), "");
  constexpr std::uint64_t kThreads = 1000;  // more than there are chunks ready: they are used again
  std::uint64_t hooked = 0;
  bool can_deny = true;
  for (std::uint64_t i = 0; i < kThreads && can_deny; ++i) {
    std::thread([&] {
      can_deny = deny_system_call(SYS_mmap);
      static_cast<void>(module.function(0)(1));
      hooked += ct_thread.sequence;
      // What the runtime does at the end of a thread.
      const isa::SignalsBlocked blocked;
      trampoline::abandon_frames(ct_thread);
      trampoline::release_chunks(ct_thread);
    }).join();
  }
  if (!can_deny) GTEST_SKIP() << "the kernel has no seccomp filters";
  EXPECT_EQ(hooked, kThreads);
}

// A thread without free frames tries one that all threads share. Each try counts it up, and at 0 it would be
// had: after three thousand million of them.
TEST(ThreadStart, TheFrameThatIsAlwaysClaimedStaysSo) {
  std::thread([] {
    trampoline::CallFrame* busy = ct_thread.free;
    const std::int32_t owner = busy->owner++;
    trampoline::CallFrame* frame = ct_frame_slow(busy);
    EXPECT_NE(frame, nullptr);
    EXPECT_EQ(busy->owner, owner);
    const isa::SignalsBlocked blocked;
    trampoline::put_free(ct_thread, *frame);
    trampoline::release_chunks(ct_thread);
  }).join();
}

}  // namespace
}  // namespace calltap::patch
