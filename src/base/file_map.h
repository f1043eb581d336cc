// A file mapped read-only for as long as the object lives.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/error.h"

namespace calltap::base {

/// Move-only owner of a private read-only mapping. Reading past a concurrent truncation raises SIGBUS, as
/// with any mapping: callers in the target map only files that the loader mapped too.
class FileMap {
 public:
  FileMap() = default;
  FileMap(FileMap&& other) noexcept;
  FileMap& operator=(FileMap&& other) noexcept;
  FileMap(const FileMap&) = delete;
  FileMap& operator=(const FileMap&) = delete;
  ~FileMap();

  /// Errors: kFileOpen, kFileRead (with errno). An empty file gives an empty span. Regular files only.
  static Result<FileMap> open(const char* path);

  [[nodiscard]] std::span<const std::uint8_t> bytes() const { return {data_, size_}; }

 private:
  const std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace calltap::base
