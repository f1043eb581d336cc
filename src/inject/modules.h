// The ELF modules of a process as they are in its memory: files on disk may have been replaced, deleted, or
// be in another mount namespace.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "inject/process_files.h"
#include "inject/target_memory.h"

namespace calltap::inject {

struct Function {
  std::string_view name;
  std::uint64_t begin = 0;
  std::uint64_t size = 0;
};

/// A range of addresses.
struct Range {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  [[nodiscard]] bool contains(std::uint64_t address) const { return address >= begin && address < end; }
};

struct Module {
  std::string path;
  std::string soname;
  std::uint64_t bias = 0;
  bool has_interpreter = false;
  std::vector<Range> code;
  std::uint64_t frame_header = 0;  // .eh_frame_hdr, 0 if none
  std::vector<char> names;
  std::vector<Function> functions;  // defined dynamic symbols, in the symbol table's order
  std::uint64_t loader_map = 0;     // _r_debug, in the loader

  /// The first of this name, or null.
  [[nodiscard]] const Function* function(std::string_view name) const;
  [[nodiscard]] bool has_code(std::uint64_t address) const;
};

/// What is not consistent, as of a library that is being loaded this moment, is left out.
std::vector<Module> modules_of(const std::vector<Mapping>& mappings, const TargetMemory& memory);

const Module* module_at(const std::vector<Module>& modules, std::uint64_t address);

/// Names of loaded modules as the loader knows them: what dlopen compares its argument with.
std::vector<std::string> loader_names(const std::vector<Module>& modules, const TargetMemory& memory);

}  // namespace calltap::inject
