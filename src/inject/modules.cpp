#include "inject/modules.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>

namespace calltap::inject {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::size_t kMostSymbols = 4'000'000;

using DynamicEntries = std::map<std::int64_t, std::uint64_t>;

/// What of the dynamic section we need; addresses made absolute (the loader has done so, but not in the
/// vdso).
DynamicEntries dynamic_entries(const TargetMemory& memory, std::uint64_t address, std::uint64_t size,
                               std::uint64_t bias) {
  DynamicEntries entries;
  const std::vector<std::uint8_t> bytes = memory.bytes(address, std::min<std::uint64_t>(size, 65536));
  for (std::size_t at = 0; at + sizeof(Elf64_Dyn) <= bytes.size(); at += sizeof(Elf64_Dyn)) {
    Elf64_Dyn entry;
    std::memcpy(&entry, bytes.data() + at, sizeof entry);
    if (entry.d_tag == DT_NULL) break;
    std::uint64_t value = entry.d_un.d_val;
    const bool is_address = entry.d_tag == DT_SYMTAB || entry.d_tag == DT_STRTAB ||
                            entry.d_tag == DT_GNU_HASH || entry.d_tag == DT_HASH;
    if (is_address && value < bias) value += bias;
    entries.try_emplace(entry.d_tag, value);
  }
  return entries;
}

/// The dynamic section does not say how many symbols there are: the hash tables do.
std::size_t symbol_count(const TargetMemory& memory, const DynamicEntries& dynamic) {
  if (auto hash = dynamic.find(DT_HASH); hash != dynamic.end())
    return memory.value<std::uint32_t>(hash->second + 4).value_or(0);
  auto hash = dynamic.find(DT_GNU_HASH);
  if (hash == dynamic.end()) return 0;
  struct Header {
    std::uint32_t buckets, first, bloom_words, shift;
  };
  const auto header = memory.value<Header>(hash->second);
  if (!header || header->buckets > kMostSymbols || header->bloom_words > kMostSymbols) return 0;
  const std::uint64_t buckets = hash->second + sizeof(Header) + header->bloom_words * std::uint64_t{8};
  const std::vector<std::uint8_t> bytes = memory.bytes(buckets, std::size_t{header->buckets} * 4);
  std::uint32_t last = 0;
  for (std::size_t at = 0; at + 4 <= bytes.size(); at += 4) {
    std::uint32_t bucket = 0;
    std::memcpy(&bucket, bytes.data() + at, 4);
    last = std::max(last, bucket);
  }
  if (last < header->first) return header->first;
  const std::uint64_t chains = buckets + header->buckets * std::uint64_t{4};
  for (; last < kMostSymbols; ++last) {
    const auto word = memory.value<std::uint32_t>(chains + (last - header->first) * std::uint64_t{4});
    if (!word) return 0;
    if ((*word & 1) != 0) return last + 1;
  }
  return 0;
}

void read_symbols(const TargetMemory& memory, const DynamicEntries& dynamic, Module& module) {
  const auto symbols = dynamic.find(DT_SYMTAB);
  const auto strings = dynamic.find(DT_STRTAB);
  const auto size = dynamic.find(DT_STRSZ);
  if (symbols == dynamic.end() || strings == dynamic.end() || size == dynamic.end()) return;
  if (size->second > (std::uint64_t{1} << 30)) return;
  const std::vector<std::uint8_t> names = memory.bytes(strings->second, size->second);
  module.names.assign(names.begin(), names.end());
  module.names.push_back('\0');
  auto name_at = [&](std::uint64_t offset) {
    return offset < module.names.size() ? std::string_view(module.names.data() + offset) : std::string_view();
  };
  if (auto soname = dynamic.find(DT_SONAME); soname != dynamic.end()) module.soname = name_at(soname->second);
  const std::vector<std::uint8_t> table =
      memory.bytes(symbols->second, symbol_count(memory, dynamic) * sizeof(Elf64_Sym));
  for (std::size_t at = 0; at + sizeof(Elf64_Sym) <= table.size(); at += sizeof(Elf64_Sym)) {
    Elf64_Sym symbol;
    std::memcpy(&symbol, table.data() + at, sizeof symbol);
    if (symbol.st_shndx == SHN_UNDEF) continue;
    const std::string_view name = name_at(symbol.st_name);
    if (ELF64_ST_TYPE(symbol.st_info) == STT_OBJECT && name == "_r_debug")
      module.loader_map = module.bias + symbol.st_value;
    if (ELF64_ST_TYPE(symbol.st_info) == STT_FUNC)
      module.functions.push_back({name, module.bias + symbol.st_value, symbol.st_size});
  }
}

std::optional<Module> module_in(const Mapping& first, const std::vector<Mapping>& mappings,
                                const TargetMemory& memory) {
  const auto header = memory.value<Elf64_Ehdr>(first.begin);
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
      header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_phentsize != sizeof(Elf64_Phdr))
    return std::nullopt;
  std::vector<Elf64_Phdr> segments(header->e_phnum);
  if (!memory.read(first.begin + header->e_phoff, segments.data(), segments.size() * sizeof(Elf64_Phdr)))
    return std::nullopt;

  Module module;
  module.path = first.path;
  std::uint64_t lowest = ~std::uint64_t{0};
  for (const Elf64_Phdr& segment : segments) {
    if (segment.p_type == PT_LOAD) lowest = std::min<std::uint64_t>(lowest, segment.p_vaddr & -kPage);
  }
  if (lowest == ~std::uint64_t{0}) return std::nullopt;
  module.bias = first.begin - lowest;
  const Elf64_Phdr* dynamic = nullptr;
  for (const Elf64_Phdr& segment : segments) {
    const std::uint64_t address = module.bias + segment.p_vaddr;
    if (segment.p_type == PT_DYNAMIC) dynamic = &segment;
    if (segment.p_type == PT_INTERP) module.has_interpreter = true;
    if (segment.p_type == PT_GNU_EH_FRAME) module.frame_header = address;
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_X) == 0) continue;
    // A file that was only mapped for reading has no code where its header says. (Programs that put their
    // code on huge pages have it in memory without a file.)
    const Mapping* mapped = find_mapping(mappings, address);
    if (mapped == nullptr || !mapped->executable) return std::nullopt;
    const bool is_this_file =
        mapped->path == first.path && mapped->offset + (address - mapped->begin) == segment.p_offset;
    if (!is_this_file && !mapped->path.empty()) return std::nullopt;
    module.code.push_back({address, address + segment.p_memsz});
  }
  if (dynamic != nullptr)
    read_symbols(memory,
                 dynamic_entries(memory, module.bias + dynamic->p_vaddr, dynamic->p_memsz, module.bias),
                 module);
  return module;
}

}  // namespace

const Function* Module::function(std::string_view name) const {
  auto found =
      std::find_if(functions.begin(), functions.end(), [&](const Function& f) { return f.name == name; });
  return found == functions.end() ? nullptr : &*found;
}

bool Module::has_code(std::uint64_t address) const {
  return std::any_of(code.begin(), code.end(), [&](const Range& range) { return range.contains(address); });
}

std::vector<Module> modules_of(const std::vector<Mapping>& mappings, const TargetMemory& memory) {
  std::vector<Module> modules;
  for (const Mapping& mapping : mappings) {
    if (mapping.offset != 0 || !mapping.readable || mapping.path.empty() || mapping.path.starts_with("/dev/"))
      continue;
    if (auto module = module_in(mapping, mappings, memory)) modules.push_back(std::move(*module));
  }
  return modules;
}

const Module* module_at(const std::vector<Module>& modules, std::uint64_t address) {
  auto found =
      std::find_if(modules.begin(), modules.end(), [&](const Module& m) { return m.has_code(address); });
  return found == modules.end() ? nullptr : &*found;
}

std::vector<std::string> loader_names(const std::vector<Module>& modules, const TargetMemory& memory) {
  // struct r_debug { int version; link_map* map; ... }; struct link_map { addr, name, ld, next, previous }
  std::vector<std::string> names;
  for (const Module& module : modules) {
    if (module.loader_map == 0) continue;
    auto map = memory.value<std::uint64_t>(module.loader_map + 8);
    for (int most = 100'000; most > 0 && map && *map != 0; --most) {
      if (auto name = memory.value<std::uint64_t>(*map + 8)) names.push_back(memory.text(*name));
      map = memory.value<std::uint64_t>(*map + 24);
    }
  }
  return names;
}

}  // namespace calltap::inject
