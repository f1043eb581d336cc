#include "site/imports.h"

#include <elf.h>

#include "site/byte_view.h"

namespace calltap::site {
namespace {

const Section* section_of_type(const ElfFile& file, std::uint32_t type) {
  for (const Section& section : file.sections()) {
    if (section.type == type && !section.bytes.empty()) return &section;
  }
  return nullptr;
}

/// Calls visit(raw symbol, name, index) for every function of .dynsym until it returns true.
template <class Visit>
void find_dynamic_function(const ElfFile& file, Visit visit) {
  const Section* table = section_of_type(file, SHT_DYNSYM);
  if (table == nullptr || table->link >= file.sections().size()) return;
  const std::span<const std::uint8_t> strings = file.sections()[table->link].bytes;
  Elf64_Sym symbol;
  for (std::uint64_t i = 0; read_at(table->bytes, i * sizeof symbol, symbol); ++i) {
    if (ELF64_ST_TYPE(symbol.st_info) == STT_FUNC && visit(symbol, text_at(strings, symbol.st_name), i))
      return;
  }
}

/// Of several versions of a symbol, those that are not the default are only for who was linked with them.
bool is_hidden_version(const Section* versions, std::uint64_t index) {
  constexpr Elf64_Half kHidden = 0x8000;
  Elf64_Half version = 0;
  return versions != nullptr && read_at(versions->bytes, index * sizeof version, version) &&
         (version & kHidden) != 0;
}

}  // namespace

std::string_view imported_function(const ElfFile& file, base::LinkAddress address) {
  std::string_view found;
  find_dynamic_function(file, [&](const Elf64_Sym& symbol, std::string_view name, std::uint64_t) {
    if (symbol.st_shndx == SHN_UNDEF && symbol.st_value != 0 && symbol.st_value == address.value)
      found = name;
    return !found.empty();
  });
  return found;
}

base::LinkAddress exported_function(const ElfFile& file, std::string_view wanted) {
  base::LinkAddress found;
  const Section* versions = section_of_type(file, SHT_GNU_versym);
  find_dynamic_function(file, [&](const Elf64_Sym& symbol, std::string_view name, std::uint64_t i) {
    const unsigned visibility = ELF64_ST_VISIBILITY(symbol.st_other);
    const bool is_exported = symbol.st_shndx != SHN_UNDEF && ELF64_ST_BIND(symbol.st_info) != STB_LOCAL &&
                             (visibility == STV_DEFAULT || visibility == STV_PROTECTED);
    if (!is_exported || name != wanted || is_hidden_version(versions, i)) return false;
    found = base::LinkAddress(symbol.st_value);
    return true;
  });
  return found;
}

}  // namespace calltap::site
