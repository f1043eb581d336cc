#include "site/recorded.h"

#include <elf.h>

#include <algorithm>

#include "site/byte_view.h"

namespace calltap::site {
namespace {

using base::ErrorCode;

constexpr std::uint64_t kEntryBytes = sizeof(std::uint64_t);

/// One recorded-address section: where it will be in memory, and where its first value is in the list of all
/// values.
struct Table {
  base::LinkAddress address;
  std::uint64_t count = 0;
  std::size_t first = 0;
};

/// The tables of a file with their values.
class Tables {
 public:
  base::Result<void> read(const ElfFile& file);
  /// Null where no entry lies at this address.
  Recorded* at(base::LinkAddress address);
  base::Array<Recorded> take() { return std::move(values_); }
  [[nodiscard]] bool empty() const { return values_.empty(); }

 private:
  base::Result<void> add(const Section& section, SiteSource source);

  base::Array<Table> tables_;
  base::Array<Recorded> values_;
};

base::Result<void> Tables::read(const ElfFile& file) {
  std::uint64_t total = 0;
  for (const Section& section : file.sections()) {
    const bool entries = section.name == "__patchable_function_entries";
    if (!entries && section.name != "__mcount_loc") continue;
    if (section.type == SHT_NOBITS) continue;  // a separate debug file
    total += section.size;
    if (section.bytes.size() != section.size || section.size % kEntryBytes != 0)
      return ErrorCode::kElfMalformed;
    if (total > file.bytes().size()) return ErrorCode::kElfMalformed;  // sections that share their bytes
    const SiteSource source = entries ? SiteSource::kPatchableFunctionEntries : SiteSource::kMcountLoc;
    if (auto added = add(section, source); !added) return added;
  }
  std::sort(tables_.begin(), tables_.end(),
            [](const Table& a, const Table& b) { return a.address < b.address; });
  return {};
}

base::Result<void> Tables::add(const Section& section, SiteSource source) {
  const Table table{section.address, section.size / kEntryBytes, values_.size()};
  if (!tables_.push_back(table) || !values_.reserve(values_.size() + table.count))
    return ErrorCode::kOutOfMemory;
  for (std::uint64_t i = 0; i < table.count; ++i) {
    std::uint64_t value = 0;
    if (!read_at(section.bytes, i * kEntryBytes, value)) return ErrorCode::kElfMalformed;
    if (!values_.push_back({base::LinkAddress(value), source})) return ErrorCode::kOutOfMemory;
  }
  return {};
}

Recorded* Tables::at(base::LinkAddress address) {
  const auto* after =
      std::upper_bound(tables_.begin(), tables_.end(), address,
                       [](base::LinkAddress a, const Table& table) { return a < table.address; });
  if (after == tables_.begin()) return nullptr;
  const Table& table = after[-1];
  const auto offset = static_cast<std::uint64_t>(address - table.address);
  if (offset % kEntryBytes != 0 || offset / kEntryBytes >= table.count) return nullptr;
  return &values_[table.first + offset / kEntryBytes];
}

/// Overwrites the values that the loader would overwrite. Packed relative relocations (.relr.dyn) need
/// nothing: their addend is the value in place.
base::Result<void> apply_relocations(const ElfFile& file, const MachineRules& rules, Tables& tables) {
  std::uint64_t total = 0;
  for (const Section& section : file.sections()) {
    if (section.type != SHT_RELA || (section.flags & SHF_ALLOC) == 0) continue;
    total += section.bytes.size();
    if (total > file.bytes().size()) return ErrorCode::kElfMalformed;
    std::span<const std::uint8_t> symbols;
    if (section.link < file.sections().size()) symbols = file.sections()[section.link].bytes;
    Elf64_Rela relocation;
    for (std::uint64_t at = 0; read_at(section.bytes, at, relocation); at += sizeof relocation) {
      Recorded* value = tables.at(base::LinkAddress(relocation.r_offset));
      if (value == nullptr) continue;
      const auto addend = static_cast<std::uint64_t>(relocation.r_addend);
      const auto type = static_cast<std::uint32_t>(ELF64_R_TYPE(relocation.r_info));
      if (type == rules.relative_relocation) value->address = base::LinkAddress(addend);
      if (type != rules.absolute_relocation) continue;
      Elf64_Sym symbol;
      const std::uint64_t index = ELF64_R_SYM(relocation.r_info);
      if (!read_at(symbols, index * sizeof symbol, symbol)) return ErrorCode::kElfMalformed;
      if (symbol.st_shndx != SHN_UNDEF) value->address = base::LinkAddress(symbol.st_value + addend);
    }
  }
  return {};
}

}  // namespace

base::Result<base::Array<Recorded>> read_recorded(const ElfFile& file, const MachineRules& rules) {
  Tables tables;
  if (auto read = tables.read(file); !read) return read.error();
  // A program at a fixed position is linked completely; its relocations are for the libraries it uses.
  if (!file.is_fixed_position() && !tables.empty()) {
    if (auto applied = apply_relocations(file, rules, tables); !applied) return applied.error();
  }
  base::Array<Recorded> recorded = tables.take();
  const auto drop_from = [&recorded](const Recorded* first) {
    while (recorded.end() != first) recorded.pop_back();
  };
  drop_from(std::remove_if(recorded.begin(), recorded.end(),
                           [](const Recorded& r) { return r.address == base::LinkAddress(0); }));
  const auto by_address = [](const Recorded& a, const Recorded& b) {
    return a.address != b.address ? a.address < b.address : a.source < b.source;
  };
  if (!std::is_sorted(recorded.begin(), recorded.end(), by_address)) {
    std::sort(recorded.begin(), recorded.end(), by_address);
  }
  const auto same = [](const Recorded& a, const Recorded& b) {
    return a.address == b.address && a.source == b.source;
  };
  drop_from(std::unique(recorded.begin(), recorded.end(), same));
  return recorded;
}

}  // namespace calltap::site
