// An ELF file as bytes: sections, segments, relocations, notes. Every offset from the file is checked before
// use, so a malformed file gives an error and never a wild read.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/address.h"
#include "base/array.h"
#include "base/error.h"
#include "base/file_map.h"

namespace calltap::site {

enum class Machine : std::uint8_t { kX86_64, kAArch64, kRiscV64 };

struct Section {
  std::string_view name;
  std::uint32_t type = 0;
  std::uint64_t flags = 0;
  base::LinkAddress address;
  std::uint64_t size = 0;
  std::uint64_t entry_size = 0;
  std::uint32_t link = 0;
  std::uint32_t info = 0;
  /// Empty for SHT_NOBITS (always so in separate debug files).
  std::span<const std::uint8_t> bytes;
};

struct Segment {
  std::uint32_t type = 0;
  std::uint32_t flags = 0;
  std::uint64_t file_offset = 0;
  base::LinkAddress address;
  std::uint64_t file_size = 0;
  std::uint64_t memory_size = 0;
};

/// Move-only view of a 64-bit little-endian ELF file. Views it hands out live as long as it does.
class ElfFile {
 public:
  /// Errors: kFileOpen, kFileRead, kNotElf, kElfTruncated, kElfForeignClass, kElfForeignMachine,
  /// kElfMalformed, kElfNotLoadable (an object file or a core dump), kOutOfMemory. A file without section
  /// headers is accepted; sections() is empty then.
  static base::Result<ElfFile> open(const char* path);
  /// The same over bytes that outlive the object (tests, fuzzers, memory images).
  static base::Result<ElfFile> parse(std::span<const std::uint8_t> bytes);

  [[nodiscard]] Machine machine() const { return machine_; }
  [[nodiscard]] std::span<const std::uint8_t> bytes() const { return bytes_; }

  /// As given to open(), empty after parse().
  [[nodiscard]] const char* path() const { return path_.empty() ? "" : path_.data(); }
  /// ET_EXEC: addresses are absolute, load bias 0.
  [[nodiscard]] bool is_fixed_position() const { return fixed_position_; }
  [[nodiscard]] std::span<const Section> sections() const { return sections_; }
  [[nodiscard]] std::span<const Segment> segments() const { return segments_; }
  /// First section with this name, or null.
  [[nodiscard]] const Section* section(std::string_view name) const;
  /// GNU build-id, empty if none.
  [[nodiscard]] std::span<const std::uint8_t> build_id() const { return build_id_; }
  /// True if the loader may map the code such that indirect branches have to come to landing pads: AArch64's
  /// BTI. Every part of the module was built for it then.
  [[nodiscard]] bool needs_landing_pads() const { return needs_landing_pads_; }
  /// PT_INTERP path, empty for static programs and plain shared objects.
  [[nodiscard]] std::string_view interpreter() const { return interpreter_; }
  /// File bytes that the loader would map at [address, address + size); shorter at the end of a segment's
  /// file part.
  [[nodiscard]] std::span<const std::uint8_t> at(base::LinkAddress address, std::uint64_t size) const;
  /// True if the address lies in an executable PT_LOAD.
  [[nodiscard]] bool is_code(base::LinkAddress address) const;

 private:
  void find_notes();

  base::FileMap map_;
  base::Array<char> path_;
  std::span<const std::uint8_t> bytes_;
  base::Array<Section> sections_;
  base::Array<Segment> segments_;
  std::span<const std::uint8_t> build_id_;
  std::string_view interpreter_;
  Machine machine_ = Machine::kX86_64;
  bool fixed_position_ = false;
  bool needs_landing_pads_ = false;
};

}  // namespace calltap::site
