// The sites of real programs, in every layout, from every compiler, linker and kind of file that we support.
// What is true is taken from the command line and from nm.
#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "site/sites.h"
#include "site_builds.h"

namespace calltap::site {
namespace {

struct Layout {
  unsigned total;
  unsigned pad;
};
constexpr Layout kLayouts[] = {{5, 0},  {2, 0}, {16, 14}, {18, 16}, {7, 5},
                               {10, 0}, {8, 0}, {16, 0},  {21, 16}};

struct Kind {
  const char* name;
  const char* flags;
};
constexpr Kind kKinds[] = {{"Pie", "-fPIE -pie -DDEMO_MAIN"},
                           {"Fixed", "-fno-pie -no-pie -DDEMO_MAIN"},
                           {"Shared", "-fPIC -shared"}};
constexpr const char* kOptimisations[] = {"-O0", "-O2", "-Os"};
constexpr const char* kLinkers[] = {"bfd", "gold", "lld"};

std::string flags_of(const Layout& layout) {
  std::string flags = "-fpatchable-function-entry=" + std::to_string(layout.total);
  return layout.pad == 0 ? flags : flags + "," + std::to_string(layout.pad);
}

struct Discovered {
  ElfFile file;
  base::Array<Site> sites;
};

Discovered discover_in(const std::string& path) {
  Discovered result;
  auto file = ElfFile::open(path.c_str());
  if (!file.ok()) {
    ADD_FAILURE() << path << ": " << base::text(file.error().code);
    return result;
  }
  auto sites = discover(*file);
  if (sites.ok()) {
    result.sites = std::move(*sites);
  } else {
    ADD_FAILURE() << path << ": " << base::text(sites.error().code);
  }
  result.file = std::move(*file);
  return result;
}

std::set<std::uint64_t> entries_of(std::span<const Site> sites) {
  std::set<std::uint64_t> entries;
  for (const Site& site : sites) entries.insert(site.entry.value);
  return entries;
}

/// Every function of the program but the one that refuses has a site, and there is no other (but main's).
void expect_entries(const std::string& path, std::span<const Site> sites) {
  std::set<std::uint64_t> found = entries_of(sites);
  EXPECT_EQ(found.size(), sites.size());
  for (const auto& [name, address] : demo_functions(path)) {
    EXPECT_EQ(found.erase(address), name == "demo_refuses" ? 0u : 1u) << name;
  }
  EXPECT_LE(found.size(), 1u) << "sites that are no functions";
}

void expect_layout(std::span<const Site> sites, const Layout& layout, bool landing_pads) {
  const unsigned entry_bytes = layout.total - layout.pad;
  const bool room = layout.pad >= 5 ? entry_bytes >= 2 : entry_bytes >= 5;
  std::size_t with_landing_pad = 0;
  for (const Site& site : sites) {
    EXPECT_EQ(site.problem, room ? SiteProblem::kNone : SiteProblem::kSledTooShort) << text(site.problem);
    EXPECT_EQ(site.pad_bytes, layout.pad);
    EXPECT_EQ(site.entry_bytes, entry_bytes);
    EXPECT_EQ(site.unit, site.entry + site.landing_pad_bytes);
    EXPECT_EQ(site.recorded, layout.pad == 0 ? site.unit : site.entry - layout.pad);
    with_landing_pad += site.landing_pad_bytes != 0 ? 1u : 0u;
  }
  EXPECT_EQ(with_landing_pad > 0, landing_pads);
}

void expect_same(std::span<const Site> a, std::span<const Site> b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].recorded, b[i].recorded);
    EXPECT_EQ(a[i].entry, b[i].entry);
    EXPECT_EQ(a[i].entry_bytes, b[i].entry_bytes);
    EXPECT_EQ(a[i].problem, b[i].problem);
  }
}

class Builds : public testing::TestWithParam<std::tuple<const char*, Kind>> {
 protected:
  void SetUp() override {
    compiler_ = compiler(std::get<0>(GetParam()));
    if (compiler_.empty()) GTEST_SKIP() << std::get<0>(GetParam()) << " is not installed";
  }
  std::string build(const std::string& flags) {
    const std::string path = directory_.path("program");
    run(compiler_ + " " + std::get<1>(GetParam()).flags + " " + flags + " -o " + path + " " +
        program_source());
    return path;
  }
  std::string strip(const std::string& path) {
    run("strip -s -o " + path + ".stripped " + path);
    return path + ".stripped";
  }
  TemporaryDirectory directory_;
  std::string compiler_;
};

// Optimisation levels and linkers take turns over the layouts.
TEST_P(Builds, EveryLayoutStrippedOrNot) {
  unsigned turn = 0;
  for (const bool landing_pads : {false, true}) {
    for (const Layout& layout : kLayouts) {
      const std::string flags = flags_of(layout) +
                                (landing_pads ? " -fcf-protection=full " : " -fcf-protection=none ") +
                                kOptimisations[turn % 3] + " -fuse-ld=" + kLinkers[turn / 3 % 3];
      SCOPED_TRACE(flags);
      ++turn;
      const std::string path = build(flags);
      const Discovered program = discover_in(path);
      expect_entries(path, program.sites);
      expect_layout(program.sites, layout, landing_pads);
      expect_same(discover_in(strip(path)).sites, program.sites);
    }
  }
}

// gold drops the section with the entries when it drops sections at all, so it is not asked here. GCC 12
// writes one such section for all functions of a file, which keeps them all; clang one for each function.
TEST_P(Builds, SectionsThatTheLinkerDrops) {
  for (const char* linker : {"bfd", "lld"}) {
    SCOPED_TRACE(linker);
    const std::string path = build(std::string("-fpatchable-function-entry=18,16 -O2 -ffunction-sections "
                                               "-fvisibility=hidden -Wl,--gc-sections -fuse-ld=") +
                                   linker);
    const Discovered program = discover_in(path);
    const bool keeps_nothing = demo_functions(path).empty();  // a library that exports nothing
    EXPECT_EQ(program.sites.empty(), keeps_nothing);
    const bool one_section = std::get<0>(GetParam()) == std::string("g++");
    EXPECT_EQ(demo_functions(path).count("demo_unused"), one_section && !keeps_nothing ? 1u : 0u);
    expect_entries(path, program.sites);
  }
}

// What is left of the entries of copies that the linker dropped: zeros, or the address of the copy it kept.
TEST_P(Builds, EntriesOfDroppedCopiesOfAFunction) {
  const std::string first = directory_.path("first.cpp"), second = directory_.path("second.cpp");
  const std::string shared = "__attribute__((noinline)) inline int demo_shared(int x) { return x + 1; }\n";
  std::ofstream(first)
      << shared << "extern \"C\" int demo_first(int x) { return demo_shared(x) * 2; }\n"
      << "#ifdef DEMO_MAIN\nint main(int argc, char**) { return demo_first(argc); }\n#endif\n";
  std::ofstream(second) << "extern \"C\" int demo_alone(int x) { return x * 3; }\n"
                        << shared << "extern \"C\" int demo_second(int x) { return demo_shared(x) * 2; }\n";
  const std::string path = directory_.path("program");
  for (const char* linker : kLinkers) {
    SCOPED_TRACE(linker);
    // GCC's entries are not in the group, so the links fail.
    run(compiler_ + " " + std::get<1>(GetParam()).flags +
        " -fpatchable-function-entry=18,16 -O0 -g -Wl,--noinhibit-exec -fuse-ld=" + linker + " -o " + path +
        " " + first + " " + second);
    const Discovered program = discover_in(path);
    expect_entries(path, program.sites);
    for (const Site& site : program.sites) EXPECT_EQ(site.problem, SiteProblem::kNone) << text(site.problem);
  }
}

TEST_P(Builds, FunctionsThatTheLinkerFoundIdentical) {
  const std::string source = directory_.path("source.cpp");
  std::ofstream(source)
      << "extern \"C\" int demo_one(int x) { return x * 3; }\n"
      << "extern \"C\" int demo_other(int x) { return x * 3; }\n"
      << "#ifdef DEMO_MAIN\nint main(int argc, char**) { return demo_one(argc); }\n#endif\n";
  for (const char* linker : {"gold", "lld"}) {
    SCOPED_TRACE(linker);
    const std::string path = directory_.path("program");
    run(compiler_ + " " + std::get<1>(GetParam()).flags +
        " -fpatchable-function-entry=18,16 -O1 "
        "-ffunction-sections -Wl,--icf=all -fuse-ld=" +
        linker + " -o " + path + " " + source);
    const Discovered program = discover_in(path);
    for (const Site& site : program.sites) EXPECT_EQ(site.problem, SiteProblem::kNone) << text(site.problem);
    const auto functions = demo_functions(path);
    EXPECT_EQ(entries_of(program.sites).count(functions.at("demo_one")), 1u);
    EXPECT_EQ(entries_of(program.sites).count(functions.at("demo_other")), 1u);
  }
}

TEST_P(Builds, WithoutUnwindTablesAndSymbolsPadsAreNotGuessed) {
  const std::string path = build(
      "-fpatchable-function-entry=18,16 -O2 -fcf-protection=none -fno-exceptions "
      "-fno-asynchronous-unwind-tables -fno-unwind-tables -fvisibility=hidden");
  expect_entries(path, discover_in(path).sites);
  const Discovered stripped = discover_in(strip(path));
  ASSERT_FALSE(stripped.sites.empty());
  for (const Site& site : stripped.sites) EXPECT_EQ(site.problem, SiteProblem::kEntryUnknown);
}

TEST_P(Builds, LandingPadsShowTheEntryWithoutUnwindTablesAndSymbols) {
  const std::string path = build(
      "-fpatchable-function-entry=18,16 -O2 -fcf-protection=full -fno-exceptions "
      "-fno-asynchronous-unwind-tables -fno-unwind-tables -fvisibility=hidden");
  const std::set<std::uint64_t> truth = entries_of(discover_in(path).sites);
  EXPECT_EQ(entries_of(discover_in(strip(path)).sites), truth);
}

TEST_P(Builds, ProgramWithoutSitesGivesAnEmptyList) { EXPECT_TRUE(discover_in(build("-O2")).sites.empty()); }

INSTANTIATE_TEST_SUITE_P(Compilers, Builds,
                         testing::Combine(testing::Values("g++", "clang++"), testing::ValuesIn(kKinds)),
                         [](const auto& build) {
                           const bool gcc = std::string(std::get<0>(build.param)) == "g++";
                           return std::string(gcc ? "Gcc" : "Clang") + std::get<1>(build.param).name;
                         });

class FentryBuild : public testing::TestWithParam<const char*> {};

TEST_P(FentryBuild, SitesAreTheFiveByteNops) {
  const TemporaryDirectory directory;
  const std::string path = directory.path("program");
  run(compiler("g++") + " -O2 -pg -mfentry -mrecord-mcount -mnop-mcount -fno-pie -no-pie -DDEMO_MAIN " +
      GetParam() + " -o " + path + " " + program_source());
  const Discovered program = discover_in(path);
  std::set<std::uint64_t> found = entries_of(program.sites);
  for (const auto& [name, address] : demo_functions(path)) EXPECT_EQ(found.erase(address), 1u) << name;
  for (const Site& site : program.sites) {
    EXPECT_EQ(site.problem, SiteProblem::kNone);
    EXPECT_EQ(site.source, SiteSource::kMcountLoc);
    EXPECT_EQ(site.first_nop_bytes, 5);
    EXPECT_EQ(site.entry_bytes, 5);
  }
}

INSTANTIATE_TEST_SUITE_P(Flags, FentryBuild, testing::Values("-fcf-protection=none", "-fcf-protection=full"));

/// Sites of a library written in assembly: function names with `function`, recorded places with `site`.
Discovered assemble(const TemporaryDirectory& directory, const std::string& text) {
  const std::string source = directory.path("source.s");
  std::ofstream(source) << ".macro function name\n.type \\name, @function\n\\name:\n.endm\n"
                           ".macro site\n1:\n.pushsection __patchable_function_entries, \"aw\"\n.quad 1b\n"
                           ".popsection\n.endm\n"
                        << text;
  run(compiler("g++") + " -shared -nostdlib -o " + directory.path("library") + " " + source);
  return discover_in(directory.path("library"));
}

// Both the start of an empty function and that of its neighbour could be the entry.
TEST(EmptyFunctions, BeforeAPadTheModuleDecides) {
  const TemporaryDirectory directory;
  const Discovered library = assemble(directory, R"(
    site
    .skip 16, 0x90
    function demo_a
    nop
    nop
    ret
    function demo_empty
    site
    .skip 16, 0x90
    function demo_b
    nop
    nop
    ret
  )");
  const auto truth = demo_functions(directory.path("library"));
  EXPECT_EQ(entries_of(library.sites), (std::set<std::uint64_t>{truth.at("demo_a"), truth.at("demo_b")}));
  expect_layout(library.sites, {18, 16}, false);
}

TEST(EmptyFunctions, BesideAFunctionWithoutASite) {
  const TemporaryDirectory directory;
  const Discovered library = assemble(directory, R"(
    function demo_empty
    site
    .skip 5, 0x90
    function demo_without
    nop
    ret
    site
    .skip 16, 0x90
    function demo_a
    nop
    nop
    ret
  )");
  const auto truth = demo_functions(directory.path("library"));
  EXPECT_EQ(entries_of(library.sites), (std::set<std::uint64_t>{truth.at("demo_empty"), truth.at("demo_a")}));
  ASSERT_EQ(library.sites.size(), 2u);
  EXPECT_EQ(library.sites[0].pad_bytes, 0);
  EXPECT_EQ(library.sites[0].entry_bytes, 5);
}

TEST(FentryAndEntries, SecondSiteOfAFunctionIsADuplicate) {
  const TemporaryDirectory directory;
  const std::string path = directory.path("program");
  run(compiler("g++") +
      " -O2 -fcf-protection=none -pg -mfentry -mrecord-mcount -mnop-mcount -fno-pie -no-pie " +
      "-DDEMO_MAIN -fpatchable-function-entry=5 -o " + path + " " + program_source());
  const Discovered program = discover_in(path);
  const auto functions = demo_functions(path);
  std::size_t duplicates = 0;
  std::set<std::uint64_t> usable;
  for (const Site& site : program.sites) {
    duplicates += site.problem == SiteProblem::kDuplicate ? 1u : 0u;
    if (site.problem == SiteProblem::kNone) usable.insert(site.entry.value);
  }
  EXPECT_GT(duplicates, 0u);
  for (const auto& [name, address] : functions) EXPECT_EQ(usable.count(address), 1u) << name;
  EXPECT_LE(usable.size(), functions.size() + 1);
}

}  // namespace
}  // namespace calltap::site
