// Function names by address: .symtab, else .dynsym; from a separate debug file when the module itself is stripped.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/address.h"
#include "base/array.h"
#include "base/error.h"
#include "site/elf_file.h"

namespace calltap::site {

struct Symbol {
  base::LinkAddress address;
  std::uint64_t size = 0;
  std::string_view name;  // mangled, without @version
};

/// Sorted function symbols. Views point into the ElfFile it was built from.
class SymbolTable {
 public:
  /// STT_FUNC and STT_GNU_IFUNC of `file`, or of its separate debug file where the module has no .symtab and one is
  /// found (see find_debug_file). Of several names for one address the best is kept: global before weak before local,
  /// then the shorter, then the alphabetically first. Errors: kElfMalformed, kOutOfMemory.
  static base::Result<SymbolTable> load(const ElfFile& file, const char* debug_root = "/usr/lib/debug");

  /// The symbol that starts at or covers the address, or null.
  [[nodiscard]] const Symbol* find(base::LinkAddress address) const;
  [[nodiscard]] std::span<const Symbol> symbols() const { return symbols_; }

 private:
  ElfFile debug_file_;
  base::Array<Symbol> symbols_;
};

/// Demangles with the given function (__cxa_demangle's signature), or returns an empty view. The text lives until the
/// next call of the same object. The runtime passes what dlsym finds (none in a C program), the tool its own.
class Demangler {
 public:
  using Function = char* (*)(const char* mangled, char* buffer, std::size_t* length, int* status);
  explicit Demangler(Function function) : function_(function) {}
  Demangler(const Demangler&) = delete;
  Demangler& operator=(const Demangler&) = delete;
  ~Demangler();
  /// `mangled` itself if it is not a mangled name.
  std::string_view demangle(std::string_view mangled);

 private:
  Function function_;
  char* buffer_ = nullptr;
  std::size_t length_ = 0;
  base::Array<char> copy_;
};

}  // namespace calltap::site
