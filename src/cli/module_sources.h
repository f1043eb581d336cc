// The ELF files that a program, a running process or a recording consists of.
#pragma once

#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "site/elf_file.h"

namespace calltap::cli {

/// One ELF file and where it is (or was) loaded.
struct SourceModule {
  std::string path;  // for people
  std::string name;  // base name
  site::ElfFile file;
  std::uint64_t load_bias = 0;  // 0 where nothing is loaded
};

struct ModuleSources {
  std::vector<SourceModule> modules;
  /// Modules that were left out, one sentence each.
  std::vector<std::string> problems;
};

/// what() fits behind "calltap: ".
class SourceError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Lower-case hexadecimal, as build-ids are written.
std::string hex(std::span<const std::uint8_t> bytes);

/// A program without a dynamic loader, as opposed to a shared library, which has none of its own either.
bool is_static_program(const site::ElfFile& file);
/// Why such a program cannot be recorded, and what to do.
std::string describe_static(const std::string& path);

/// The file, looked for in $PATH if its name has no slash and there is no such file; with `libraries` also
/// the shared objects that its loader would load. Throws SourceError if the program itself cannot be read.
ModuleSources modules_of_program(const std::string& program, bool libraries);
/// Every ELF file that is mapped, with the file that is mapped and not what has its name now. Throws
/// SourceError.
ModuleSources modules_of_process(int pid);
/// Every module of a recording that has functions, where the file is still the recorded one. Throws
/// SourceError.
ModuleSources modules_of_recording(const std::string& directory);

}  // namespace calltap::cli
