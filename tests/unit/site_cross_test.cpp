// The sites of AArch64 and RISC-V programs, in every layout, with landing pads and without, from clang and
// lld, which make them on every host. What is true is taken from the command line and from nm.
#include <gtest/gtest.h>

#include <set>

#include "isa/aarch64/sled_forms.h"
#include "isa/riscv64/sled_forms.h"
#include "site/sites.h"
#include "site_builds.h"

namespace calltap::site {
namespace {

struct Target {
  const char* name;
  const char* flags;
  Machine machine;
  unsigned nop_bytes;
  bool landing_pads;
};
constexpr Target kTargets[] = {
    {"AArch64", "--target=aarch64-linux-gnu -mbranch-protection=none", Machine::kAArch64, 4, false},
    {"AArch64Bti", "--target=aarch64-linux-gnu -mbranch-protection=bti", Machine::kAArch64, 4, true},
    {"AArch64BtiAndPac", "--target=aarch64-linux-gnu -mbranch-protection=standard", Machine::kAArch64, 4,
     true},
    {"AArch64Pac", "--target=aarch64-linux-gnu -mbranch-protection=pac-ret", Machine::kAArch64, 4, false},
    {"RiscV64WithC", "--target=riscv64-linux-gnu -march=rv64gc", Machine::kRiscV64, 2, false},
    {"RiscV64", "--target=riscv64-linux-gnu -march=rv64g", Machine::kRiscV64, 4, false},
};
// lld 14 cannot relax, and clang writes no unwind tables for RISC-V unless asked.
constexpr const char* kFlags = " -mno-relax -fasynchronous-unwind-tables -nostdlib -fuse-ld=lld ";
constexpr const char* kKinds[] = {"-fPIC -shared", "-fPIE -pie -Wl,-e,demo_run", "-static -Wl,-e,demo_run"};
constexpr const char* kOptimisations[] = {"-O0", "-O1", "-O2", "-O3", "-Os"};

struct Layout {
  unsigned total;
  unsigned pad;
};
constexpr Layout kLayouts[] = {{4, 2}, {2, 0}, {8, 4}, {4, 0}, {9, 8}, {1, 0}, {3, 2}};

/// Whether a way of patching fits, in the words of the design.
bool has_room(const Target& target, const Layout& layout) {
  if (target.machine == Machine::kAArch64) return true;  // one NOP becomes a B
  const unsigned pad = layout.pad * target.nop_bytes, entry = (layout.total - layout.pad) * target.nop_bytes;
  return pad >= 8 || entry >= 8;  // AUIPC and a jump
}

class CrossBuilds : public testing::TestWithParam<Target> {
 protected:
  void SetUp() override {
    compiler_ = compiler("clang++");
    if (compiler_.empty()) GTEST_SKIP() << "clang++ is not installed";
  }
  std::string build(const std::string& flags, const std::string& name) {
    const std::string path = directory_.path(name);
    run(compiler_ + " " + GetParam().flags + kFlags + flags + " -o " + path + " " +
        CALLTAP_TEST_SOURCES "/site_bare_program.cpp");
    return path;
  }

  /// Every function but the one that refuses has a site, laid out as the flags say, and there is no other.
  void expect_sites(const std::string& path, const std::map<std::string, std::uint64_t>& functions,
                    const Layout& layout) const {
    const auto file = ElfFile::open(path.c_str());
    ASSERT_TRUE(file.ok()) << base::text(file.error().code);
    ASSERT_EQ(file->machine(), GetParam().machine);
    const auto sites = discover(*file);
    ASSERT_TRUE(sites.ok()) << base::text(sites.error().code);
    std::set<std::uint64_t> entries;
    std::size_t with_landing_pad = 0;
    for (const Site& site : *sites) {
      entries.insert(site.entry.value);
      with_landing_pad += site.landing_pad_bytes != 0 ? 1 : 0;
      expect_layout(*file, site, layout);
    }
    EXPECT_EQ(entries.size(), sites->size());
    for (const auto& [name, address] : functions) {
      EXPECT_EQ(entries.erase(address), name == "demo_refuses" ? 0u : 1u) << name;
    }
    EXPECT_TRUE(entries.empty()) << "sites that are no functions";
    EXPECT_EQ(with_landing_pad > 0, GetParam().landing_pads);
    EXPECT_EQ(file->needs_landing_pads(), GetParam().landing_pads);
  }

  void expect_layout(const ElfFile& file, const Site& site, const Layout& layout) const {
    const Target& target = GetParam();
    const unsigned pad_bytes = layout.pad * target.nop_bytes;
    EXPECT_EQ(site.problem, has_room(target, layout) ? SiteProblem::kNone : SiteProblem::kSledTooShort)
        << text(site.problem);
    EXPECT_EQ(site.pad_bytes, pad_bytes);
    EXPECT_EQ(site.entry_bytes, (layout.total - layout.pad) * target.nop_bytes);
    EXPECT_EQ(site.first_nop_bytes, target.nop_bytes);
    EXPECT_EQ(site.unit, site.entry + site.landing_pad_bytes);
    EXPECT_EQ(site.recorded, layout.pad == 0 ? site.unit : site.entry - pad_bytes);
    expect_forms(file.at(site.unit, site.entry_bytes), site);
  }

  /// What a compiler leaves is the off state of every form that is long enough for it.
  void expect_forms(std::span<const std::uint8_t> code, const Site& site) const {
    const auto check = [&](const auto& sleds) {
      for (const auto& sled : sleds) {
        if (sled.first_nop_bytes != site.first_nop_bytes || sled.length() > code.size()) continue;
        EXPECT_EQ(state_of(sled, code), isa::SledState::kOff) << sled.notation;
      }
    };
    if (GetParam().machine == Machine::kAArch64) check(isa::aarch64::kSleds);
    if (GetParam().machine == Machine::kRiscV64) check(isa::riscv64::kSleds);
  }

  TemporaryDirectory directory_;
  std::string compiler_;
};

// Kinds of files and optimisation levels take turns over the layouts.
TEST_P(CrossBuilds, EveryLayoutStrippedOrNot) {
  unsigned turn = 0;
  for (const Layout& layout : kLayouts) {
    const std::string flags = "-fpatchable-function-entry=" + std::to_string(layout.total) + "," +
                              std::to_string(layout.pad) + " " + kOptimisations[turn % 5] + " " +
                              kKinds[turn % 3];
    ++turn;
    SCOPED_TRACE(flags);
    const std::string path = build(flags, "program");
    const auto functions = demo_functions(path);
    ASSERT_EQ(functions.size(), 9u);
    expect_sites(path, functions, layout);
    expect_sites(build(flags + " -Wl,-s", "stripped"), functions, layout);
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, CrossBuilds, testing::ValuesIn(kTargets),
                         [](const auto& target) { return std::string(target.param.name); });

}  // namespace
}  // namespace calltap::site
