#include "site/elf_file.h"

#include <elf.h>

#include <algorithm>
#include <cstring>

#include "site/byte_view.h"

namespace calltap::site {
namespace {

using base::Error;
using base::ErrorCode;
using Bytes = std::span<const std::uint8_t>;

// More than any linker writes into a program, and few enough that a hostile file cannot make us work without
// bound.
constexpr std::size_t kMaxSections = 65536;
constexpr std::size_t kMaxSegments = 256;
constexpr std::size_t kMaxNoteBytes = 4096;

base::Result<Machine> machine_of(const Elf64_Ehdr& header) {
  switch (header.e_machine) {
    case EM_X86_64:
      return Machine::kX86_64;
    case EM_AARCH64:
      return Machine::kAArch64;
    case EM_RISCV:
      return Machine::kRiscV64;
    default:
      return ErrorCode::kElfForeignMachine;
  }
}

base::Result<Elf64_Ehdr> read_header(Bytes bytes) {
  if (bytes.size() < SELFMAG || std::memcmp(bytes.data(), ELFMAG, SELFMAG) != 0) return ErrorCode::kNotElf;
  Elf64_Ehdr header;
  if (bytes.size() <= EI_DATA) return ErrorCode::kElfTruncated;
  if (bytes[EI_CLASS] != ELFCLASS64 || bytes[EI_DATA] != ELFDATA2LSB) return ErrorCode::kElfForeignClass;
  if (!read_at(bytes, 0, header)) return ErrorCode::kElfTruncated;
  if (header.e_type != ET_EXEC && header.e_type != ET_DYN) return ErrorCode::kElfNotLoadable;
  return header;
}

Section make_section(Bytes file, const Elf64_Shdr& raw) {
  Section section;
  section.type = raw.sh_type;
  section.flags = raw.sh_flags;
  section.address = base::LinkAddress(raw.sh_addr);
  section.size = raw.sh_size;
  section.entry_size = raw.sh_entsize;
  section.link = raw.sh_link;
  section.info = raw.sh_info;
  if (raw.sh_type != SHT_NOBITS) section.bytes = slice(file, raw.sh_offset, raw.sh_size);
  return section;
}

base::Result<base::Array<Segment>> read_segments(Bytes file, const Elf64_Ehdr& header) {
  base::Array<Segment> segments;
  if (header.e_phnum == 0) return segments;
  if (header.e_phentsize < sizeof(Elf64_Phdr) || header.e_phnum > kMaxSegments)
    return ErrorCode::kElfMalformed;
  for (std::size_t i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr raw;
    if (!read_at(file, header.e_phoff + i * header.e_phentsize, raw)) return ErrorCode::kElfTruncated;
    const Segment segment{raw.p_type,   raw.p_flags, raw.p_offset, base::LinkAddress(raw.p_vaddr),
                          raw.p_filesz, raw.p_memsz};
    if (!segments.push_back(segment)) return ErrorCode::kOutOfMemory;
  }
  return segments;
}

/// Counts beyond 16 bits are in the first header.
base::Result<base::Array<Section>> read_sections(Bytes file, const Elf64_Ehdr& header) {
  base::Array<Section> sections;
  if (header.e_shoff == 0) return sections;
  if (header.e_shentsize < sizeof(Elf64_Shdr)) return ErrorCode::kElfMalformed;
  Elf64_Shdr first;
  if (!read_at(file, header.e_shoff, first)) return ErrorCode::kElfTruncated;
  const std::uint64_t count = header.e_shnum != 0 ? header.e_shnum : first.sh_size;
  const std::uint64_t names = header.e_shstrndx != SHN_XINDEX ? header.e_shstrndx : first.sh_link;
  if (count > kMaxSections || count > (file.size() - header.e_shoff) / header.e_shentsize) {
    return ErrorCode::kElfTruncated;
  }
  if (!sections.reserve(count)) return ErrorCode::kOutOfMemory;
  Bytes name_bytes;
  if (Elf64_Shdr raw; names < count && read_at(file, header.e_shoff + names * header.e_shentsize, raw)) {
    name_bytes = make_section(file, raw).bytes;
  }
  for (std::uint64_t i = 0; i < count; ++i) {
    Elf64_Shdr raw;
    if (!read_at(file, header.e_shoff + i * header.e_shentsize, raw)) return ErrorCode::kElfTruncated;
    Section section = make_section(file, raw);
    section.name = text_at(name_bytes, raw.sh_name);
    if (!sections.push_back(section)) return ErrorCode::kOutOfMemory;
  }
  return sections;
}

/// The description of the GNU note of this type among `notes`, empty if there is none.
Bytes find_note(Bytes notes, std::uint32_t type) {
  if (notes.size() > kMaxNoteBytes) return {};
  for (std::uint64_t at = 0;;) {
    Elf64_Nhdr note;
    if (!read_at(notes, at, note)) return {};
    const std::uint64_t name_at = at + sizeof note;
    const std::uint64_t text_at = name_at + (std::uint64_t{note.n_namesz} + 3) / 4 * 4;
    const Bytes name = slice(notes, name_at, note.n_namesz);
    const Bytes text = slice(notes, text_at, note.n_descsz);
    if (note.n_type == type && name.size() == 4 && std::memcmp(name.data(), "GNU", 4) == 0) {
      return text;
    }
    at = text_at + (std::uint64_t{note.n_descsz} + 3) / 4 * 4;
  }
}

/// Does a note of program properties say that all of the code has AArch64's landing pads?
bool says_landing_pads(Bytes properties) {
  constexpr std::uint64_t kAlignment = 8;
  struct Property {
    std::uint32_t type;
    std::uint32_t size;
  } property;
  for (std::uint64_t at = 0; read_at(properties, at, property);) {
    at += sizeof property;
    std::uint32_t features = 0;
    if (property.type == GNU_PROPERTY_AARCH64_FEATURE_1_AND && read_at(properties, at, features))
      return (features & GNU_PROPERTY_AARCH64_FEATURE_1_BTI) != 0;
    at += (std::uint64_t{property.size} + kAlignment - 1) / kAlignment * kAlignment;
  }
  return false;
}

}  // namespace

base::Result<ElfFile> ElfFile::open(const char* path) {
  auto map = base::FileMap::open(path);
  if (!map) return map.error();
  auto file = parse(map->bytes());
  if (!file) return file;
  file->map_ = std::move(*map);
  if (!file->path_.append({path, std::strlen(path) + 1})) return ErrorCode::kOutOfMemory;
  return file;
}

base::Result<ElfFile> ElfFile::parse(std::span<const std::uint8_t> bytes) {
  auto header = read_header(bytes);
  if (!header) return header.error();
  auto machine = machine_of(*header);
  if (!machine) return machine.error();
  auto segments = read_segments(bytes, *header);
  if (!segments) return segments.error();
  auto sections = read_sections(bytes, *header);
  if (!sections) return sections.error();

  ElfFile file;
  file.bytes_ = bytes;
  file.segments_ = std::move(*segments);
  file.sections_ = std::move(*sections);
  file.machine_ = *machine;
  file.fixed_position_ = header->e_type == ET_EXEC;
  file.find_notes();
  return file;
}

void ElfFile::find_notes() {
  // In a separate debug file the segments describe the stripped module, so sections come first.
  for (const Section& section : sections_) {
    if (build_id_.empty() && section.type == SHT_NOTE) build_id_ = find_note(section.bytes, NT_GNU_BUILD_ID);
  }
  for (const Segment& segment : segments_) {
    const Bytes bytes = slice(bytes_, segment.file_offset, segment.file_size);
    if (segment.type == PT_INTERP) interpreter_ = text_at(bytes, 0);
    if (sections_.empty() && build_id_.empty() && segment.type == PT_NOTE)
      build_id_ = find_note(bytes, NT_GNU_BUILD_ID);
    if (machine_ == Machine::kAArch64 && segment.type == PT_GNU_PROPERTY)
      needs_landing_pads_ = says_landing_pads(find_note(bytes, NT_GNU_PROPERTY_TYPE_0));
  }
}

const Section* ElfFile::section(std::string_view name) const {
  const auto found = std::find_if(sections_.begin(), sections_.end(),
                                  [name](const Section& section) { return section.name == name; });
  return found == sections_.end() ? nullptr : found;
}

std::span<const std::uint8_t> ElfFile::at(base::LinkAddress address, std::uint64_t size) const {
  for (const Segment& segment : segments_) {
    if (segment.type != PT_LOAD || address < segment.address) continue;
    const auto offset = static_cast<std::uint64_t>(address - segment.address);
    if (offset >= segment.file_size) continue;
    const Bytes part = slice(bytes_, segment.file_offset, segment.file_size);
    if (offset >= part.size()) return {};
    return part.subspan(offset, std::min<std::uint64_t>(size, part.size() - offset));
  }
  return {};
}

bool ElfFile::is_code(base::LinkAddress address) const {
  return std::any_of(segments_.begin(), segments_.end(), [address](const Segment& segment) {
    return segment.type == PT_LOAD && (segment.flags & PF_X) != 0 && address >= segment.address &&
           static_cast<std::uint64_t>(address - segment.address) < segment.file_size;
  });
}

}  // namespace calltap::site
