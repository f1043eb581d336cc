// Stripped AArch64 and RISC-V modules as GCC writes them: unwind entries begin behind the NOPs, so what lies
// before the entry and what behind it is only known from calls and exported functions.
#include <gtest/gtest.h>

#include <fstream>

#include "site/sites.h"
#include "site_builds.h"

namespace calltap::site {
namespace {

struct Target {
  const char* name;
  const char* flags;
  const char* call;
  unsigned nop_bytes;
  bool unwind_entries;
};
constexpr Target kTargets[] = {
    {"AArch64", "--target=aarch64-linux-gnu", "bl", 4, true},
    {"RiscV64WithC", "--target=riscv64-linux-gnu -march=rv64gc -mno-relax", "jal", 2, true},
    {"RiscV64", "--target=riscv64-linux-gnu -march=rv64g -mno-relax", "call", 4, true},
    {"RiscV64WithoutUnwindEntries", "--target=riscv64-linux-gnu -march=rv64gc -mno-relax", "call", 2, false},
};

struct Function {
  const char* name;
  unsigned total, pad;
  std::string body;
  bool exported = false;
};

class StrippedBuilds : public testing::TestWithParam<Target> {
 protected:
  void SetUp() override {
    compiler_ = compiler("clang++");
    if (compiler_.empty()) GTEST_SKIP() << "clang++ is not installed";
  }
  [[nodiscard]] std::string call(const std::string& where) const {
    return std::string(GetParam().call) + " " + where + "\n";
  }

  /// What GCC writes for the functions.
  [[nodiscard]] std::string assembly(const std::vector<Function>& functions) const {
    std::string text;
    const auto nops = [](unsigned count) { return ".rept " + std::to_string(count) + "\nnop\n.endr\n"; };
    for (const Function& f : functions) {
      const std::string name = f.name;
      text += ".section __patchable_function_entries,\"aw\"\n.8byte 0f\n.text\n.p2align 3\n0:\n";
      text += nops(f.pad) + ".type " + name + ",%function\n" + (f.exported ? ".globl " + name + "\n" : "");
      text += name + ":\n" + nops(f.total - f.pad);
      text += GetParam().unwind_entries ? ".cfi_startproc\n" : "";
      text += f.body + "ret\n";
      text += GetParam().unwind_entries ? ".cfi_endproc\n" : "";
      text += ".size " + name + ", . - " + name + "\n";
    }
    return text;
  }

  /// A library of these functions, and their sites, in the order of `functions`.
  std::vector<Site> sites_of(const std::vector<Function>& functions) {
    const std::string source = directory_.path("functions.s"), path = directory_.path("library.so");
    std::ofstream(source) << assembly(functions);
    const std::string build = compiler_ + " " + GetParam().flags + " -nostdlib -fuse-ld=lld -shared -o ";
    run(build + path + " " + source);
    entries_ = demo_functions(path);
    run(build + path + " -Wl,-s " + source);
    const auto file = ElfFile::open(path.c_str());
    EXPECT_TRUE(file.ok());
    if (!file) return {};
    const auto sites = discover(*file);
    EXPECT_TRUE(sites.ok());
    if (!sites) return {};
    EXPECT_EQ(sites->size(), functions.size());
    return {sites->begin(), sites->end()};
  }

  void expect_found(const std::vector<Site>& sites, const std::vector<Function>& functions) const {
    ASSERT_EQ(sites.size(), functions.size());
    for (std::size_t i = 0; i < sites.size(); ++i) expect_found(sites[i], functions[i]);
  }
  void expect_found(const Site& site, const Function& function) const {
    SCOPED_TRACE(function.name);
    const unsigned nop = GetParam().nop_bytes;
    EXPECT_NE(site.problem, SiteProblem::kEntryUnknown);
    EXPECT_EQ(site.entry.value, entries_.at(function.name));
    EXPECT_EQ(site.pad_bytes, function.pad * nop);
    EXPECT_EQ(site.entry_bytes, (function.total - function.pad) * nop);
  }

  TemporaryDirectory directory_;
  std::string compiler_;
  std::map<std::string, std::uint64_t> entries_;
};

TEST_P(StrippedBuilds, OneCallTellsTheLayoutOfAll) {
  constexpr unsigned kLayouts[][2] = {{4, 2}, {4, 0}, {8, 4}, {9, 8}, {2, 0}, {3, 1}};
  for (const auto& [total, pad] : kLayouts) {
    SCOPED_TRACE(testing::Message() << total << "," << pad);
    const std::vector<Function> functions = {
        {"demo_called", total, pad, "nop\nnop\nnop\n" + call("demo_after")},
        {"demo_other", total, pad, ""},
        {"demo_after", total, pad, ""},
        {"demo_last", total, pad, call("demo_after")}};
    const std::vector<Site> sites = sites_of(functions);
    if (GetParam().unwind_entries) {
      expect_found(sites, functions);
      continue;
    }
    // Where the body starts with NOPs, and nothing says which they are, its sled is no longer like the
    // others.
    ASSERT_EQ(sites.size(), functions.size());
    EXPECT_EQ(sites[0].problem, SiteProblem::kEntryUnknown);
    for (std::size_t i = 1; i < sites.size(); ++i) expect_found(sites[i], functions[i]);
  }
}

TEST_P(StrippedBuilds, OneExportedFunctionTellsTheLayoutOfAll) {
  const std::vector<Function> functions = {{"demo_hidden", 9, 8, ""}, {"demo_shown", 9, 8, "", true}};
  expect_found(sites_of(functions), functions);
}

TEST_P(StrippedBuilds, NothingIsGuessed) {
  for (const Site& site : sites_of({{"demo_a", 4, 2, ""}, {"demo_b", 4, 2, ""}})) {
    EXPECT_EQ(site.problem, SiteProblem::kEntryUnknown) << text(site.problem);
  }
}

TEST_P(StrippedBuilds, SledsOfAnotherLengthTellNothing) {
  const std::vector<Function> functions = {{"demo_a", 4, 2, call("demo_b")},
                                           {"demo_b", 4, 2, ""},
                                           {"demo_c", 8, 0, ""},
                                           {"demo_d", 2, 0, "", true}};
  const std::vector<Site> sites = sites_of(functions);
  ASSERT_EQ(sites.size(), functions.size());
  EXPECT_EQ(sites[2].problem, SiteProblem::kEntryUnknown) << text(sites[2].problem);
  for (const std::size_t i : {0, 1, 3}) expect_found(sites[i], functions[i]);
}

TEST_P(StrippedBuilds, EvidenceThatContradictsItselfIsNone) {
  const std::vector<Function> functions = {{"demo_a", 8, 4, call("demo_b") + call("demo_c")},
                                           {"demo_b", 8, 4, ""},
                                           {"demo_c", 8, 0, ""},
                                           {"demo_d", 8, 4, "", true}};
  const std::vector<Site> sites = sites_of(functions);
  ASSERT_EQ(sites.size(), functions.size());
  for (const std::size_t i : {0, 1, 2}) EXPECT_EQ(sites[i].problem, SiteProblem::kEntryUnknown) << i;
  expect_found(sites[3], functions[3]);
}

INSTANTIATE_TEST_SUITE_P(Targets, StrippedBuilds, testing::ValuesIn(kTargets),
                         [](const auto& target) { return std::string(target.param.name); });

}  // namespace
}  // namespace calltap::site
