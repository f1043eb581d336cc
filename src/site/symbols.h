// Function names by address: .symtab, else .dynsym; from a separate debug file when the module itself is
// stripped.
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

/// Sorted function symbols. Views point into the ElfFile it was built from, which must outlive it.
class SymbolTable {
 public:
  /// STT_FUNC and STT_GNU_IFUNC of `file`, or of its separate debug file where the module has no .symtab and
  /// one is found (see find_debug_file; `module_path` as there). Of several names for one address the best is
  /// kept: global before weak before local, then the shorter, then the alphabetically first. Symbols that are
  /// malformed are left out. Errors: kOutOfMemory. Not signal-safe (maps files); any thread.
  static base::Result<SymbolTable> load(const ElfFile& file, const char* debug_root = "/usr/lib/debug",
                                        const char* module_path = nullptr);

  /// The symbol that starts at or covers the address, or null.
  [[nodiscard]] const Symbol* find(base::LinkAddress address) const;
  [[nodiscard]] std::span<const Symbol> symbols() const { return symbols_; }

 private:
  ElfFile debug_file_;
  base::Array<Symbol> symbols_;
};

/// Appends the address of every function symbol of the file itself, in no order. Errors: kOutOfMemory.
base::Result<void> append_function_symbols(const ElfFile& file, base::Array<base::LinkAddress>& addresses);

/// "name+0xoffset", in `buffer`, cut off where it does not fit.
std::string_view offset_name(std::string_view name, std::uint64_t offset, std::span<char> buffer);

/// The name of the function whose entry this is, or "module+0xoffset" where no symbol starts there. `buffer`
/// holds that text, cut off where it does not fit.
std::string_view function_name(const SymbolTable& symbols, std::string_view module, base::LinkAddress entry,
                               std::span<char> buffer);

/// The same for one function after the other, in ascending order of address: walks along the symbols instead
/// of searching each. Both arguments must outlive it.
class NamesInOrder {
 public:
  NamesInOrder(const SymbolTable& symbols, std::string_view module)
      : rest_(symbols.symbols()), module_(module) {}
  /// The entry is not below the one before. The name lives until the next call.
  std::string_view name_of(base::LinkAddress entry);

 private:
  std::span<const Symbol> rest_;
  std::string_view module_;
  char buffer_[512];
};

}  // namespace calltap::site
