#include "site/symbols.h"

#include <cxxabi.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "site/debug_file.h"
#include "site/demangler.h"
#include "site/name_index.h"
#include "site_builds.h"

namespace calltap::site {
namespace {

using base::ErrorCode;
using base::LinkAddress;

/// A stripped program, and beside it the whole one.
class Symbols : public testing::Test {
 protected:
  void build(const std::string& flags = "-Wl,--build-id") {
    run(compiler("g++") + " -O0 -DDEMO_MAIN -fpatchable-function-entry=5 " + flags + " -o " + whole_ + " " +
        program_source());
    truth_ = demo_functions(whole_);
    ASSERT_GT(truth_.size(), 5u);
    run("strip -s -o " + stripped_ + " " + whole_);
  }
  [[nodiscard]] std::string build_id_path(const std::string& root) const {
    auto file = ElfFile::open(whole_.c_str());
    std::string hex;
    for (const std::uint8_t byte : file->build_id()) {
      const char digits[] = {"0123456789abcdef"[byte >> 4], "0123456789abcdef"[byte & 15]};
      hex.append(digits, 2);
    }
    return root + "/.build-id/" + hex.substr(0, 2) + "/" + hex.substr(2) + ".debug";
  }
  /// Only the debug part of the whole program, as packagers install it.
  void make_debug_file(const std::string& path) const {
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    run("objcopy --only-keep-debug " + whole_ + " " + path);
  }
  /// All functions of the program are found, by the names that nm has for them.
  void expect_names(const std::string& debug_root) const {
    auto file = ElfFile::open(stripped_.c_str());
    ASSERT_TRUE(file.ok());
    auto symbols = SymbolTable::load(*file, debug_root.c_str());
    ASSERT_TRUE(symbols.ok());
    for (const auto& [name, address] : truth_) {
      const Symbol* symbol = symbols->find(LinkAddress(address));
      ASSERT_NE(symbol, nullptr) << name;
      EXPECT_EQ(symbol->name, name);
      EXPECT_EQ(symbols->find(LinkAddress(address + symbol->size - 1)), symbol) << "covers its last byte";
    }
  }
  [[nodiscard]] ErrorCode debug_file_error() const {
    auto file = ElfFile::open(stripped_.c_str());
    return find_debug_file(*file, directory_.path("root").c_str()).error().code;
  }

  TemporaryDirectory directory_;
  std::string whole_ = directory_.path("whole");
  std::string stripped_ = directory_.path("program");
  std::map<std::string, std::uint64_t> truth_;
};

TEST_F(Symbols, SymtabAgreesWithNm) {
  build();
  stripped_ = whole_;
  expect_names("/nonexistent");
}

TEST_F(Symbols, StrippedFunctionIsModuleAndOffset) {
  build();
  auto file = ElfFile::open(stripped_.c_str());
  auto symbols = SymbolTable::load(*file, "/nonexistent");
  ASSERT_TRUE(symbols.ok());
  std::array<char, 32> buffer;
  EXPECT_EQ(function_name(*symbols, "program", LinkAddress(0x12a0), buffer), "program+0x12a0");
  EXPECT_EQ(function_name(*symbols, "program", LinkAddress(0), buffer), "program+0x0");
  std::array<char, 4> small;
  EXPECT_EQ(function_name(*symbols, "program", LinkAddress(0x12a0), small), "prog");
}

/// Every site is found by its name, and named alike in whatever way it is asked for.
void expect_found_by_name(const std::string& path) {
  auto file = ElfFile::open(path.c_str());
  ASSERT_TRUE(file.ok());
  auto sites = discover(*file);
  auto symbols = SymbolTable::load(*file, "/nonexistent");
  ASSERT_TRUE(sites.ok() && symbols.ok());
  ASSERT_GT(sites->size(), 5u);
  auto index = NameIndex::build(*sites, *symbols, "program");
  ASSERT_TRUE(index.ok());
  NamesInOrder names(*symbols, "program");
  for (std::uint32_t i = 0; i < sites->size(); ++i) {
    std::array<char, 64> buffer;
    const std::string_view name = function_name(*symbols, "program", (*sites)[i].entry, buffer);
    EXPECT_EQ(names.name_of((*sites)[i].entry), name);
    EXPECT_EQ(names.name_of((*sites)[i].entry), name) << "asked again";
    std::size_t found = 0;
    index->for_each_candidate(name, [&](std::uint32_t candidate) { found += candidate == i ? 1 : 0; });
    EXPECT_EQ(found, 1u) << name;
  }
}

TEST_F(Symbols, SitesAreFoundByName) {
  build();
  expect_found_by_name(whole_);
}

TEST_F(Symbols, SitesOfAStrippedProgramAreFoundByOffset) {
  build();
  expect_found_by_name(stripped_);
}

TEST_F(Symbols, SeveralSitesOfOneNameAreAllFound) {
  std::string objects;
  for (const char* name : {"a.o", "b.o", "c.o"}) {
    const std::string source = directory_.path("twin.cpp");
    std::ofstream(source) << "extern \"C\" { __attribute__((noinline, used)) static void twin() {} }\n";
    run(compiler("g++") + " -O0 -fPIC -fpatchable-function-entry=5 -c -o " + directory_.path(name) + " " +
        source);
    objects.append(" ").append(directory_.path(name));
  }
  run(compiler("g++") + " -shared -nostdlib -o " + whole_ + objects);
  auto file = ElfFile::open(whole_.c_str());
  ASSERT_TRUE(file.ok());
  auto sites = discover(*file);
  auto symbols = SymbolTable::load(*file, "/nonexistent");
  auto index = NameIndex::build(*sites, *symbols, "whole");
  std::vector<std::uint32_t> found;
  index->for_each_candidate("twin", [&](std::uint32_t i) { found.push_back(i); });
  std::sort(found.begin(), found.end());
  EXPECT_EQ(found, (std::vector<std::uint32_t>{0, 1, 2}));
}

TEST(NameIndex, OfNothingHasNothing) {
  const NameIndex index;
  EXPECT_TRUE(index.empty());
  index.for_each_candidate("name", [](std::uint32_t) { ADD_FAILURE(); });
}

TEST_F(Symbols, DebugFileByBuildId) {
  build();
  make_debug_file(build_id_path(directory_.path("root")));
  expect_names(directory_.path("root"));
}

TEST_F(Symbols, DebugFileOfAnotherBuildIsRefused) {
  build();
  const std::string path = build_id_path(directory_.path("root"));
  EXPECT_EQ(debug_file_error(), ErrorCode::kFileOpen);
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  run(compiler("g++") + " -shared -fPIC -O2 -Wl,--build-id -o " + path + " " + program_source());
  EXPECT_EQ(debug_file_error(), ErrorCode::kBuildIdMismatch);
}

TEST_F(Symbols, DebugFileByLinkInEveryPlace) {
  build();
  const std::string parent = std::filesystem::path(stripped_).parent_path();
  const std::string made = directory_.path("made.debug");
  make_debug_file(made);
  run("objcopy --add-gnu-debuglink=" + made + " " + stripped_);
  for (const std::string& place : {parent + "/made.debug", parent + "/.debug/made.debug",
                                   directory_.path("root") + parent + "/made.debug"}) {
    SCOPED_TRACE(place);
    std::filesystem::create_directories(std::filesystem::path(place).parent_path());
    const std::string kept = directory_.path("kept");
    if (place != made) std::filesystem::rename(made, place);
    expect_names(directory_.path("root"));
    std::filesystem::rename(place, kept);
    EXPECT_EQ(debug_file_error(), ErrorCode::kFileOpen);
    std::filesystem::rename(kept, made);
  }
}

TEST_F(Symbols, WithoutBuildIdTheLinksCrcDecides) {
  build("-Wl,--build-id=none");
  const std::string made = directory_.path("made.debug");
  make_debug_file(made);
  run("objcopy --add-gnu-debuglink=" + made + " " + stripped_);
  expect_names(directory_.path("root"));
  std::ofstream(made, std::ios::app) << "changed";
  EXPECT_EQ(debug_file_error(), ErrorCode::kBuildIdMismatch);
}

TEST_F(Symbols, BestOfSeveralNames) {
  const std::string source = directory_.path("names.s");
  std::ofstream(source) << R"(
    .text
    .macro function name
    .type \name, @function
\name:
    .endm
    .globl longer_global, aglobal, bglobal
    .weak aweak
    function alocal
    function aweak
    function longer_global
    function bglobal
    function aglobal
    ret
    .globl versioned_1
    .type versioned_1, @function
versioned_1:
    .symver versioned_1, versioned@@VERSION_1
    ret
    .globl data_not_function
data_not_function:
    ret
  )";
  const std::string script = directory_.path("versions");
  std::ofstream(script) << "VERSION_1 { global: *; };\n";
  const std::string library = directory_.path("library");
  run(compiler("g++") + " -shared -nostdlib -Wl,--version-script=" + script + " -o " + library + " " +
      source);
  auto file = ElfFile::open(library.c_str());
  auto symbols = SymbolTable::load(*file, "/nonexistent");
  ASSERT_TRUE(symbols.ok());
  std::vector<std::string> names;
  for (const Symbol& symbol : symbols->symbols()) names.emplace_back(symbol.name);
  EXPECT_EQ(names, (std::vector<std::string>{"aglobal", "versioned"}));
}

TEST(Demangler, NamesOfCxxAndOthers) {
  Demangler demangler(abi::__cxa_demangle, std::free);
  EXPECT_EQ(demangler.demangle("_ZN2ns5Class1fEi"), "ns::Class::f(int)");
  EXPECT_EQ(demangler.demangle(std::string_view("_Z1fvJUNK").substr(0, 5)), "f()");  // not terminated
  EXPECT_EQ(demangler.demangle("plain"), "plain");
  EXPECT_EQ(demangler.demangle("_Zbroken!"), "_Zbroken!");
  EXPECT_EQ(demangler.demangle("_Z" + std::string(100000, 'P')).size(), 100002u);
  EXPECT_EQ(demangler.demangle("_Z1gv"), "g()");
}

TEST(Demangler, WithoutAFunctionNamesStayAsTheyAre) {
  Demangler demangler(nullptr);
  EXPECT_EQ(demangler.demangle("_Z1gv"), "_Z1gv");
}

}  // namespace
}  // namespace calltap::site
