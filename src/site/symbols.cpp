#include "site/symbols.h"

#include <elf.h>

#include <algorithm>

#include "site/byte_view.h"
#include "site/debug_file.h"

namespace calltap::site {
namespace {

using base::ErrorCode;
using base::LinkAddress;

struct RankedSymbol {
  Symbol symbol;
  unsigned rank = 0;  // the smaller, the better
};

unsigned rank_of(unsigned binding) {
  switch (binding) {
    case STB_GLOBAL:
    case STB_GNU_UNIQUE:
      return 0;
    case STB_WEAK:
      return 1;
    default:
      return 2;
  }
}

/// By address, the best name first.
bool ordered(const RankedSymbol& a, const RankedSymbol& b) {
  if (a.symbol.address != b.symbol.address) return a.symbol.address < b.symbol.address;
  if (a.rank != b.rank) return a.rank < b.rank;
  if (a.symbol.name.size() != b.symbol.name.size()) return a.symbol.name.size() < b.symbol.name.size();
  return a.symbol.name < b.symbol.name;
}

const Section* section_of_type(const ElfFile& file, std::uint32_t type) {
  for (const Section& section : file.sections()) {
    if (section.type == type && !section.bytes.empty()) return &section;
  }
  return nullptr;
}

/// Calls visit(raw symbol, string table) for every defined function; stops when it returns false.
template <class Visit>
bool for_each_function(const ElfFile& file, std::uint32_t type, Visit visit) {
  const Section* table = section_of_type(file, type);
  if (table == nullptr) return true;
  std::span<const std::uint8_t> strings;
  if (table->link < file.sections().size()) strings = file.sections()[table->link].bytes;
  Elf64_Sym symbol;
  for (std::uint64_t at = 0; read_at(table->bytes, at, symbol); at += sizeof symbol) {
    const unsigned kind = ELF64_ST_TYPE(symbol.st_info);
    const bool defined = symbol.st_shndx != SHN_UNDEF && symbol.st_value != 0;
    if (!defined || (kind != STT_FUNC && kind != STT_GNU_IFUNC)) continue;
    if (!visit(symbol, strings)) return false;
  }
  return true;
}

bool collect(const ElfFile& file, std::uint32_t type, base::Array<RankedSymbol>& ranked) {
  return for_each_function(
      file, type, [&ranked](const Elf64_Sym& raw, std::span<const std::uint8_t> strings) {
        std::string_view name = text_at(strings, raw.st_name);
        name.remove_suffix(name.size() - std::min(name.find('@'), name.size()));
        if (name.empty()) return true;
        return ranked.push_back(
            {{LinkAddress(raw.st_value), raw.st_size, name}, rank_of(ELF64_ST_BIND(raw.st_info))});
      });
}

}  // namespace

base::Result<SymbolTable> SymbolTable::load(const ElfFile& file, const char* debug_root,
                                            const char* module_path) {
  SymbolTable table;
  base::Array<RankedSymbol> ranked;
  bool complete = true;
  if (section_of_type(file, SHT_SYMTAB) != nullptr) {
    complete = collect(file, SHT_SYMTAB, ranked);
  } else {
    if (auto debug = find_debug_file(file, debug_root, module_path); debug.ok()) {
      table.debug_file_ = std::move(*debug);
      complete = collect(table.debug_file_, SHT_SYMTAB, ranked);
    }
    if (ranked.empty()) complete = complete && collect(file, SHT_DYNSYM, ranked);
  }
  if (!complete || !table.symbols_.reserve(ranked.size())) return ErrorCode::kOutOfMemory;
  std::sort(ranked.begin(), ranked.end(), ordered);
  for (const RankedSymbol& next : ranked) {
    base::Array<Symbol>& kept = table.symbols_;
    if (kept.empty() || kept.back().address != next.symbol.address) {
      if (!kept.push_back(next.symbol)) return ErrorCode::kOutOfMemory;
    } else {
      kept.back().size = std::max(kept.back().size, next.symbol.size);
    }
  }
  return table;
}

const Symbol* SymbolTable::find(base::LinkAddress address) const {
  const Symbol* after =
      std::upper_bound(symbols_.begin(), symbols_.end(), address,
                       [](LinkAddress a, const Symbol& symbol) { return a < symbol.address; });
  if (after == symbols_.begin()) return nullptr;
  const Symbol& symbol = after[-1];
  const auto offset = static_cast<std::uint64_t>(address - symbol.address);
  return offset == 0 || offset < symbol.size ? &symbol : nullptr;
}

base::Result<void> append_function_symbols(const ElfFile& file, base::Array<base::LinkAddress>& addresses) {
  const auto append = [&addresses](const Elf64_Sym& raw, std::span<const std::uint8_t>) {
    return addresses.push_back(LinkAddress(raw.st_value));
  };
  // What .dynsym has, .symtab has too.
  const bool has_all = section_of_type(file, SHT_SYMTAB) != nullptr;
  if (!for_each_function(file, has_all ? SHT_SYMTAB : SHT_DYNSYM, append)) return ErrorCode::kOutOfMemory;
  return {};
}

std::string_view offset_name(std::string_view name, std::uint64_t offset, std::span<char> buffer) {
  std::size_t used = 0;
  const auto put = [&](char c) {
    if (used < buffer.size()) buffer[used++] = c;
  };
  for (const char c : name) put(c);
  for (const char c : {'+', '0', 'x'}) put(c);
  int shift = 60;
  while (shift > 0 && (offset >> shift) == 0) shift -= 4;
  for (; shift >= 0; shift -= 4) put("0123456789abcdef"[(offset >> shift) & 15]);
  return {buffer.data(), used};
}

std::string_view function_name(const SymbolTable& symbols, std::string_view module, base::LinkAddress entry,
                               std::span<char> buffer) {
  const Symbol* symbol = symbols.find(entry);
  if (symbol != nullptr && symbol->address == entry) return symbol->name;
  return offset_name(module, entry.value, buffer);
}

std::string_view NamesInOrder::name_of(LinkAddress entry) {
  while (!rest_.empty() && rest_.front().address < entry) rest_ = rest_.subspan(1);
  if (!rest_.empty() && rest_.front().address == entry) return rest_.front().name;
  return offset_name(module_, entry.value, buffer_);
}

}  // namespace calltap::site
