#include "patch/words/word_writer.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <cstring>

#include "isa/sled_words.h"
#include "isa/system.h"
#include "patch/memory_map.h"

namespace calltap::patch {
namespace {

namespace native = isa::native;
using base::Error;
using base::ErrorCode;
using base::Result;

constexpr std::uint64_t kMostPages = 16;  // with one change of protection

std::uint32_t load(std::uint64_t address, std::size_t bytes) {
  if (bytes == 2) return *reinterpret_cast<const volatile std::uint16_t*>(address);
  return *reinterpret_cast<const volatile std::uint32_t*>(address);
}

/// One store: the address is a multiple of the length.
void store_word(const WordChange& change) {
  if (change.bytes == 2) {
    *reinterpret_cast<volatile std::uint16_t*>(change.address) = static_cast<std::uint16_t>(change.wanted);
  } else {
    *reinterpret_cast<volatile std::uint32_t*>(change.address) = change.wanted;
  }
}

/// Is code executed as it was written last, through the file descriptor? Kernels can be told to refuse such
/// writes, and an emulator that keeps translated code does not notice them.
bool is_executed_as_written(long fd) {
  const std::uint64_t page = page_bytes();
  auto* memory = static_cast<std::uint32_t*>(isa::map_memory(page));
  if (memory == nullptr) return false;
  const auto at = reinterpret_cast<std::uint64_t>(memory);
  ReturningCode code;
  make_returning(code, 1);
  std::memcpy(memory, code, sizeof code);
  clean_caches(at, sizeof code);
  bool is_right = !isa::is_error(native::system_call(SYS_mprotect, static_cast<long>(at),
                                                     static_cast<long>(page), PROT_READ | PROT_EXEC));
  const auto run = reinterpret_cast<std::uint32_t (*)()>(at);
  for (std::uint32_t value = 1; is_right && value <= 3; ++value) {
    make_returning(code, value);
    is_right = native::system_call(SYS_pwrite64, fd, reinterpret_cast<long>(code), sizeof code[0],
                                   static_cast<long>(at)) == sizeof code[0];
    clean_caches(at, sizeof code);
    is_right = is_right && run() == value;
  }
  isa::unmap_memory(memory, page);
  return is_right;
}

}  // namespace

bool add_words(base::Array<WordChange>& changes, std::uint64_t address, std::span<const std::uint8_t> code) {
  for (std::size_t i = 0; i < code.size();) {
    const bool whole = (address + i) % 4 == 0 && code.size() - i >= 4;
    const std::size_t bytes = whole ? 4 : kInstructionGrain;
    const std::uint32_t wanted = isa::word_at(code, i, bytes);
    const std::uint32_t found = load(address + i, bytes);
    const WordChange change = {address + i, static_cast<std::uint8_t>(bytes), found, wanted};
    if (found != wanted && !changes.push_back(change)) return false;
    i += bytes;
  }
  return true;
}

WordWriter::WordWriter(bool has_landing_pads) : protection_(code_protection(has_landing_pads)) {
  static bool is_executed = true;  // what did not work once will not
  if (!is_executed || !kernel_stores_words()) return;
  const long fd =
      native::system_call(SYS_openat, AT_FDCWD, reinterpret_cast<long>("/proc/self/mem"), O_RDWR | O_CLOEXEC);
  if (isa::is_error(fd)) return;
  is_executed = is_executed_as_written(fd);
  if (is_executed) {
    fd_ = static_cast<int>(fd);
  } else {
    native::system_call(SYS_close, fd);
  }
}

WordWriter::~WordWriter() {
  if (fd_ >= 0) native::system_call(SYS_close, fd_);
}

Result<void> WordWriter::write_through(const WordChange& change) {
  const long n = native::system_call(SYS_pwrite64, fd_, reinterpret_cast<long>(&change.wanted), change.bytes,
                                     static_cast<long>(change.address));
  if (n == change.bytes) return {};
  return Error(ErrorCode::kTextUnwritable, n < 0 ? static_cast<int>(-n) : 0, change.address);
}

Result<void> WordWriter::store(std::span<const WordChange> changes) {
  const std::uint64_t page = page_bytes();
  const std::uint64_t begin = changes.front().address & ~(page - 1);
  const std::uint64_t end = (changes.back().address & ~(page - 1)) + page;
  const auto protect = [&](int protection) {
    return native::system_call(SYS_mprotect, static_cast<long>(begin), static_cast<long>(end - begin),
                               protection);
  };
  const long result = protect(protection_ | PROT_WRITE);
  if (isa::is_error(result))
    return Error(ErrorCode::kTextUnwritable, static_cast<int>(-result), changes.front().address);
  for (const WordChange& change : changes) store_word(change);
  protect(protection_);
  return {};
}

Result<void> WordWriter::apply(std::span<const WordChange> sorted) {
  for (const WordChange& change : sorted) {
    const std::uint32_t found = load(change.address, change.bytes);
    if (found == change.expected) continue;
    std::uint8_t bytes[2][4];
    std::memcpy(bytes[0], &change.expected, 4);
    std::memcpy(bytes[1], &found, 4);
    return Error::mismatch(change.address, std::span(bytes[0], change.bytes),
                           std::span(bytes[1], change.bytes));
  }
  const std::uint64_t page = page_bytes();
  for (std::size_t first = 0; first < sorted.size();) {
    const std::uint64_t most_end = (sorted[first].address & ~(page - 1)) + kMostPages * page;
    std::size_t last = first;
    while (fd_ < 0 && last + 1 < sorted.size() && sorted[last + 1].address < most_end &&
           sorted[last + 1].address / page <= sorted[last].address / page + 1) {
      ++last;
    }
    const auto run = sorted.subspan(first, last + 1 - first);
    auto written = fd_ >= 0 ? write_through(run.front()) : store(run);
    if (!written) return written;
    for (const WordChange& change : run) clean_caches(change.address, change.bytes);
    first = last + 1;
  }
  return {};
}

}  // namespace calltap::patch
