#include "patch/x86_64/text_writer.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <cstring>

#include "isa/system.h"

namespace calltap::patch {
namespace {

namespace native = isa::native;
using base::Error;
using base::ErrorCode;
using base::Result;

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kMostPages = 16;  // in one write

constexpr std::uint64_t page_of(std::uint64_t address) { return address & ~(kPage - 1); }

/// Does a write through /proc/self/mem reach pages that are not writable here? Kernels can be told to refuse
/// it.
bool can_write_through(long fd) {
  static const volatile std::uint8_t probe = 0x5a;  // read-only data of this library
  const std::uint8_t same = probe;
  return native::system_call(SYS_pwrite64, fd, reinterpret_cast<long>(&same), 1,
                             static_cast<long>(reinterpret_cast<std::uint64_t>(&probe))) == 1;
}

}  // namespace

TextWriter::TextWriter() {
  const long fd =
      native::system_call(SYS_openat, AT_FDCWD, reinterpret_cast<long>("/proc/self/mem"), O_RDWR | O_CLOEXEC);
  if (isa::is_error(fd)) return;
  if (can_write_through(fd)) {
    fd_ = static_cast<int>(fd);
  } else {
    native::system_call(SYS_close, fd);
  }
}

TextWriter::~TextWriter() {
  if (fd_ >= 0) native::system_call(SYS_close, fd_);
}

Result<void> TextWriter::write(std::uint64_t address, std::span<const std::uint8_t> bytes) {
  if (fd_ >= 0) {
    const long n = native::system_call(SYS_pwrite64, fd_, reinterpret_cast<long>(bytes.data()),
                                       static_cast<long>(bytes.size()), static_cast<long>(address));
    if (n == static_cast<long>(bytes.size())) return {};
    return Error(ErrorCode::kTextUnwritable, n < 0 ? static_cast<int>(-n) : 0, address);
  }
  const std::uint64_t page = page_of(address);
  const long size = static_cast<long>((address + bytes.size() + kPage - 1 - page) & ~(kPage - 1));
  const long result =
      native::system_call(SYS_mprotect, static_cast<long>(page), size, PROT_READ | PROT_WRITE | PROT_EXEC);
  if (isa::is_error(result)) return Error(ErrorCode::kTextUnwritable, static_cast<int>(-result), address);
  // Byte by byte, and only bytes that differ: another thread may be executing here.
  auto* text = reinterpret_cast<volatile std::uint8_t*>(address);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (text[i] != bytes[i]) text[i] = bytes[i];
  }
  native::system_call(SYS_mprotect, static_cast<long>(page), size, PROT_READ | PROT_EXEC);
  return {};
}

Result<void> TextWriter::apply(std::span<const ByteChange> sorted) {
  for (const ByteChange& change : sorted) {
    const std::uint8_t found = *reinterpret_cast<const volatile std::uint8_t*>(change.address);
    if (found != change.expected) {
      return Error::mismatch(change.address, std::span(&change.expected, 1), std::span(&found, 1));
    }
  }
  base::Array<std::uint8_t> image;  // not on the stack, which may be a small one of the program's
  if (!image.resize(kMostPages * kPage)) return ErrorCode::kOutOfMemory;
  for (std::size_t first = 0; first < sorted.size();) {
    const std::uint64_t begin = sorted[first].address;
    const std::uint64_t most_end = page_of(begin) + kMostPages * kPage;
    std::size_t last = first;
    while (last + 1 < sorted.size() && sorted[last + 1].address < most_end &&
           page_of(sorted[last + 1].address) <= page_of(sorted[last].address) + kPage) {
      ++last;
    }
    const std::size_t size = sorted[last].address + 1 - begin;
    std::memcpy(image.data(), reinterpret_cast<const void*>(begin), size);
    for (std::size_t i = first; i <= last; ++i) image[sorted[i].address - begin] = sorted[i].wanted;
    if (auto written = write(begin, std::span(image.data(), size)); !written) return written.error();
    first = last + 1;
  }
  return {};
}

}  // namespace calltap::patch
