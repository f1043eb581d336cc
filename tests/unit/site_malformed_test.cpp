// Files that are wrong: refused with the right error, or read as far as they make sense. Never a wild read;
// run under AddressSanitizer to see the latter (preset asan).
#include <elf.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "site/sites.h"
#include "site/symbols.h"
#include "site_builds.h"

namespace calltap::site {
namespace {

using Bytes = std::vector<std::uint8_t>;
using base::ErrorCode;

/// One program in several kinds, built once.
class Malformed : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    const TemporaryDirectory directory;
    const std::string flags = " -O1 -fpatchable-function-entry=18,16 ";
    const std::string tail = " -o " + directory.path("program") + " " + program_source();
    run(compiler("g++") + flags + "-fPIC -shared" + tail);
    shared_ = read_bytes(directory.path("program"));
    run(compiler("g++") + flags + "-DDEMO_MAIN -fno-pie -no-pie" + tail);
    fixed_ = read_bytes(directory.path("program"));
    run("objcopy --strip-all --remove-section .eh_frame_hdr " + directory.path("program"));
    without_table_ = read_bytes(directory.path("program"));
  }
  static inline Bytes shared_;
  static inline Bytes fixed_;
  static inline Bytes without_table_;
};

Elf64_Ehdr& header_of(Bytes& bytes) { return *reinterpret_cast<Elf64_Ehdr*>(bytes.data()); }

ErrorCode parse_error(const Bytes& bytes) { return ElfFile::parse(bytes).error().code; }

/// The file bytes of a section, for tests that change them.
std::span<std::uint8_t> section_bytes(Bytes& bytes, std::string_view name) {
  auto file = ElfFile::parse(bytes);
  const Section* section = file.ok() ? file->section(name) : nullptr;
  if (section == nullptr) return {};
  const auto offset = static_cast<std::size_t>(section->bytes.data() - bytes.data());
  return std::span(bytes).subspan(offset, section->bytes.size());
}

base::Array<Site> sites_of(const Bytes& bytes) {
  auto file = ElfFile::parse(bytes);
  if (!file.ok()) return {};
  auto sites = discover(*file);
  return sites.ok() ? std::move(*sites) : base::Array<Site>();
}

TEST_F(Malformed, EmptyAndForeignFiles) {
  EXPECT_EQ(parse_error({}), ErrorCode::kNotElf);
  EXPECT_EQ(parse_error({'#', '!', '/', 'b', 'i', 'n'}), ErrorCode::kNotElf);
  EXPECT_EQ(parse_error({0x7f, 'E', 'L', 'F'}), ErrorCode::kElfTruncated);
  EXPECT_EQ(ElfFile::open("/nonexistent").error().code, ErrorCode::kFileOpen);
}

TEST_F(Malformed, ClassMachineAndKind) {
  Bytes bytes = fixed_;
  header_of(bytes).e_ident[EI_CLASS] = ELFCLASS32;
  EXPECT_EQ(parse_error(bytes), ErrorCode::kElfForeignClass);
  bytes = fixed_;
  header_of(bytes).e_machine = EM_SPARCV9;
  EXPECT_EQ(parse_error(bytes), ErrorCode::kElfForeignMachine);
  bytes = fixed_;
  header_of(bytes).e_type = ET_REL;
  EXPECT_EQ(parse_error(bytes), ErrorCode::kElfNotLoadable);
  bytes = fixed_;
  header_of(bytes).e_phentsize = 1;
  EXPECT_EQ(parse_error(bytes), ErrorCode::kElfMalformed);
}

TEST_F(Malformed, TruncatedAnywhereIsAnErrorOrNoSites) {
  ASSERT_FALSE(sites_of(fixed_).empty());
  for (std::size_t size = 0; size < fixed_.size(); size += 97) {
    const Bytes bytes(fixed_.begin(), fixed_.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_TRUE(sites_of(bytes).empty()) << size;  // the section headers are at the end
  }
}

TEST_F(Malformed, NoSectionHeaders) {
  Bytes bytes = fixed_;
  header_of(bytes).e_shoff = 0;
  header_of(bytes).e_shnum = 0;
  auto file = ElfFile::parse(bytes);
  ASSERT_TRUE(file.ok());
  EXPECT_FALSE(file->build_id().empty());  // from the segments
  EXPECT_EQ(discover(*file).error().code, ErrorCode::kElfNoSectionHeaders);
}

TEST_F(Malformed, FrameDescriptionsReplaceTheirTable) {
  const base::Array<Site> sites = sites_of(without_table_);
  const base::Array<Site> truth = sites_of(fixed_);
  ASSERT_EQ(sites.size(), truth.size());
  for (std::size_t i = 0; i < sites.size(); ++i) EXPECT_EQ(sites[i].entry, truth[i].entry);
}

TEST_F(Malformed, RecordedAddressesThatAreNoSites) {
  Bytes bytes = fixed_;
  const std::size_t count = sites_of(bytes).size();
  ASSERT_GT(count, 4u);
  const auto entries = section_bytes(bytes, "__patchable_function_entries");
  ASSERT_GE(entries.size(), 5 * 8u);
  const auto put = [&entries](std::size_t index, std::uint64_t value) {
    std::memcpy(entries.data() + index * 8, &value, 8);
  };
  std::uint64_t third = 0;
  std::memcpy(&third, entries.data() + 2 * 8, 8);
  put(0, 0);                         // dropped by a linker
  put(1, 0xdeadbeef);                // nowhere
  put(3, third);                     // another copy of the function
  put(4, header_of(bytes).e_entry);  // code, but no NOPs
  const base::Array<Site> sites = sites_of(bytes);
  EXPECT_EQ(sites.size(), count - 2);
  const auto with = [&sites](SiteProblem problem) {
    return std::count_if(sites.begin(), sites.end(),
                         [problem](const Site& s) { return s.problem == problem; });
  };
  EXPECT_EQ(with(SiteProblem::kNotCode), 1);
  EXPECT_EQ(with(SiteProblem::kNotNops), 1);
  EXPECT_EQ(with(SiteProblem::kNone), static_cast<std::ptrdiff_t>(count) - 4);
}

TEST_F(Malformed, OverlappingSitesAreNotBothUsable) {
  Bytes bytes = fixed_;
  const auto entries = section_bytes(bytes, "__patchable_function_entries");
  std::uint64_t first = 0;
  std::memcpy(&first, entries.data(), 8);
  first += 4;  // within the pad of the first site
  std::memcpy(entries.data() + 8, &first, 8);
  for (const base::Array<Site> sites = sites_of(bytes); const Site& site : sites) {
    if (site.problem != SiteProblem::kNone) continue;
    for (const Site& other : sites) {
      const bool apart =
          other.recorded >= site.unit + site.entry_bytes || other.unit + other.entry_bytes <= site.recorded;
      EXPECT_TRUE(&other == &site || other.problem != SiteProblem::kNone || apart);
    }
  }
}

/// Reads everything that a reader of untrusted files reads, and touches all of it.
std::size_t read_everything(const Bytes& bytes) {
  auto file = ElfFile::parse(bytes);
  if (!file.ok()) return 0;
  std::size_t touched = file->interpreter().size() + file->build_id().size();
  auto sites = discover(*file);
  auto symbols = SymbolTable::load(*file, "/nonexistent");
  if (!sites.ok() || !symbols.ok()) return touched;
  std::array<char, 64> buffer;
  for (const Site& site : *sites) {
    for (const std::uint8_t byte : file->at(site.unit, site.entry_bytes)) touched += byte;
    for (const char c : function_name(*symbols, "module", site.entry, buffer)) touched += c == '_' ? 1u : 0u;
  }
  for (const Symbol& symbol : symbols->symbols()) touched += symbol.name.size();
  return touched;
}

/// Headers and tables are small; flipping only all bytes alike would rarely hit them.
std::size_t choose_position(const Bytes& bytes, std::mt19937& random) {
  const auto& header = *reinterpret_cast<const Elf64_Ehdr*>(bytes.data());
  const std::size_t tables = std::min<std::size_t>(header.e_shoff, bytes.size() - 1);
  switch (random() % 4) {
    case 0:
      return random() % std::min<std::size_t>(bytes.size(), 1024);
    case 1:
      return tables + random() % (bytes.size() - tables);
    default:
      return random() % bytes.size();
  }
}

TEST_F(Malformed, MutatedFilesNeverHarmTheReader) {
  std::mt19937 random(20240917);
  std::size_t readable = 0;
  for (const Bytes* original : {&shared_, &fixed_, &without_table_}) {
    ASSERT_GT(original->size(), sizeof(Elf64_Ehdr));
    ASSERT_GT(read_everything(*original), 0u);
    for (int round = 0; round < 2000; ++round) {
      Bytes bytes = *original;
      const unsigned changes = 1 + random() % 8;
      for (unsigned i = 0; i < changes; ++i) {
        std::uint8_t& byte = bytes[choose_position(*original, random)];
        byte = random() % 2 == 0 ? static_cast<std::uint8_t>(random())
                                 : static_cast<std::uint8_t>(byte ^ (1u << random() % 8));
      }
      if (random() % 16 == 0) bytes.resize(random() % bytes.size());
      bytes.shrink_to_fit();  // so that a sanitizer sees a read behind the end
      readable += read_everything(bytes) > 0 ? 1u : 0u;
    }
  }
  EXPECT_GT(readable, 1000u) << "mutations must leave most files readable, or they test nothing";
}

}  // namespace
}  // namespace calltap::site
