#include "recorder/stack_memory.h"

#include <sys/uio.h>

#include <atomic>

#include "isa/system.h"

namespace calltap::recorder {
namespace {

constexpr long kFault = -14;  // EFAULT

/// The kernel does not copy for us.
std::atomic<bool> copying_refused{false};

}  // namespace

void StackMemory::begin() {
  begin_ = 0;
  size_ = 0;
  pid_ = isa::current_pid();
}

bool StackMemory::read(std::uint64_t address, void* to, std::size_t bytes) {
  if (!holds(address, bytes)) {
    // Saved registers lie below the frame's address, the outer frames above it.
    constexpr std::uint64_t kBelow = 256;
    if (copying_refused.load(std::memory_order_relaxed)) return look_and_read(address, to, bytes);
    if (address > kBelow) copy_from(address - kBelow);
    if (!holds(address, bytes)) copy_from(address);
    if (copying_refused.load(std::memory_order_relaxed)) return look_and_read(address, to, bytes);
    if (!holds(address, bytes)) return false;
  }
  __builtin_memcpy(to, piece_ + (address - begin_), bytes);
  return true;
}

void StackMemory::copy_from(std::uint64_t address) {
  const iovec here = {piece_, sizeof piece_};
  const iovec there = {reinterpret_cast<void*>(address), sizeof piece_};
  const long n = isa::native::system_call(SYS_process_vm_readv, pid_, reinterpret_cast<long>(&here), 1,
                                          reinterpret_cast<long>(&there), 1, 0);
  begin_ = address;
  size_ = isa::is_error(n) ? 0 : static_cast<std::uint64_t>(n);
  if (isa::is_error(n) && n != kFault) copying_refused.store(true, std::memory_order_relaxed);
}

/// A futex wait that must not wait looks at a word, which lies in one page.
bool StackMemory::look_and_read(std::uint64_t address, void* to, std::size_t bytes) {
  constexpr std::uint64_t kWord = sizeof(std::uint32_t);
  const std::uint64_t end = address + bytes;
  if (end < address) return false;
  for (std::uint64_t word = address / kWord * kWord; word < end; word += kWord) {
    if (isa::futex_wait(reinterpret_cast<const void*>(word), 0, 0, false) == kFault) return false;
  }
  __builtin_memcpy(to, reinterpret_cast<const void*>(address), bytes);
  return true;
}

}  // namespace calltap::recorder
