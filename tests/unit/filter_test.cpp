#include "filter/filter.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "filter/near_miss.h"

namespace calltap::filter {
namespace {

TEST(Glob, StarsQuestionMarksAndSets) {
  EXPECT_TRUE(glob_match("", ""));
  EXPECT_FALSE(glob_match("", "a"));
  EXPECT_TRUE(glob_match("*", ""));
  EXPECT_TRUE(glob_match("sqlite3_*", "sqlite3_step"));
  EXPECT_FALSE(glob_match("sqlite3_*", "sqlite_step"));
  EXPECT_TRUE(glob_match("*a*b*c", "xxaybzbc"));
  EXPECT_FALSE(glob_match("*a*b*c", "xxaybzb"));
  EXPECT_TRUE(glob_match("f?o", "foo"));
  EXPECT_FALSE(glob_match("f?o", "fo"));
  EXPECT_TRUE(glob_match("[a-c]x", "bx"));
  EXPECT_FALSE(glob_match("[a-c]x", "dx"));
  EXPECT_TRUE(glob_match("[!a-c]x", "dx"));
  EXPECT_FALSE(glob_match("[!a-c]x", "ax"));
  EXPECT_TRUE(glob_match("[]x]", "]"));
  EXPECT_TRUE(glob_match("[a-]", "-"));
  EXPECT_TRUE(glob_match("[\\]]", "]"));
}

TEST(Glob, BackslashQuotes) {
  EXPECT_TRUE(glob_match("operator\\*", "operator*"));
  EXPECT_FALSE(glob_match("operator\\*", "operator()"));
  EXPECT_TRUE(glob_match("operator\\[\\]", "operator[]"));
}

TEST(Glob, ManyStarsTakeNoExponentialTime) {
  std::string pattern;
  for (int i = 0; i < 50; ++i) pattern += "a*";
  pattern += "b";
  const std::string text(20000, 'a');
  const auto start = std::chrono::steady_clock::now();
  EXPECT_FALSE(glob_match(pattern, text));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
}

TEST(Signature, ParameterListIsCut) {
  EXPECT_EQ(without_parameters("ns::f(int, char)"), "ns::f");
  EXPECT_EQ(without_parameters("ns::C::f(void (*)(int)) const"), "ns::C::f");
  EXPECT_EQ(without_parameters("int ns::f<int (*)(char)>(int (*)(char)) const &"),
            "int ns::f<int (*)(char)>");
  EXPECT_EQ(without_parameters("C::operator()(int)"), "C::operator()");
  EXPECT_EQ(without_parameters("C::operator()"), "C::operator()");
  EXPECT_EQ(without_parameters("(anonymous namespace)::f()"), "(anonymous namespace)::f");
  EXPECT_EQ(without_parameters("f(int) [clone .part.0] [clone .cold]"), "f");
  EXPECT_EQ(without_parameters("f(int)::{lambda(char)#1}::operator()(char) const"),
            "f(int)::{lambda(char)#1}::operator()");
  EXPECT_EQ(without_parameters("plain_c_name"), "plain_c_name");
}

struct NameCase {
  const char* name;
  const char* signature;
  const char* qualified;
};

class QualifiedName : public testing::TestWithParam<NameCase> {};

TEST_P(QualifiedName, HasNeitherParametersNorReturnType) {
  EXPECT_EQ(qualified_name(GetParam().signature), GetParam().qualified);
}

INSTANTIATE_TEST_SUITE_P(
    Demangled, QualifiedName,
    testing::Values(
        NameCase{"NoReturnType", "ns::f(int)", "ns::f"}, NameCase{"PlainC", "plain_c_name", "plain_c_name"},
        NameCase{"ReturnType", "int ns::tf<int>(int)", "ns::tf<int>"},
        NameCase{"TypeOfTwoWords", "unsigned long ns::K::m<int>(int) const", "ns::K::m<int>"},
        NameCase{"Reference", "int const& ns::mx<int>(int const&)", "ns::mx<int>"},
        NameCase{"TemplateType", "std::__cxx11::basic_string<char, std::allocator<char> > ns::st<int>(int)",
                 "ns::st<int>"},
        NameCase{"Arguments", "int f<unsigned long, int (*)(char, int)>(int)",
                 "f<unsigned long, int (*)(char, int)>"},
        NameCase{"MemberType", "std::enable_if<(4)<(8), int>::type ns::en<4>()", "ns::en<4>"},
        NameCase{"Greater", "ns::A<((8)>(1))> ns::gt<8>()", "ns::gt<8>"},
        NameCase{"Shift", "ns::A<(8)>>(1)> ns::sh<8>()", "ns::sh<8>"},
        NameCase{"Decltype", "decltype ({parm#1}+(1)) ns::dt<int>(int)", "ns::dt<int>"},
        NameCase{"DecltypeLess", "decltype ({parm#1}<{parm#2}) ns::dl<int, int>(int, int)",
                 "ns::dl<int, int>"},
        NameCase{"DecltypeArrow", "decltype ({parm#1}->x) const& dl<int>(int)", "dl<int>"},
        NameCase{"Anonymous", "int ns::(anonymous namespace)::an<int>(int)",
                 "ns::(anonymous namespace)::an<int>"},
        NameCase{"AnonymousFirst", "int (anonymous namespace)::an<int>(int)",
                 "(anonymous namespace)::an<int>"},
        NameCase{"AnonymousType", "(anonymous namespace)::T f<int>(int)", "f<int>"},
        NameCase{"AbiTag", "int ns::f[abi:cxx11]<int>(int)", "ns::f[abi:cxx11]<int>"},
        NameCase{"Constructor", "ns::K::K<int>(int)", "ns::K::K<int>"},
        NameCase{"FunctionPointer", "void (*ns::fp<int>(int))(char)", "ns::fp<int>"},
        NameCase{"PointerToThat", "void (*(*ns::fp<int>(int))(char))(long)", "ns::fp<int>"},
        NameCase{"ArrayReference", "int (&ns::ra<int>(int)) [3]", "ns::ra<int>"},
        NameCase{"MemberPointer", "int ns::K::* ns::K::pm<int>(int)", "ns::K::pm<int>"},
        NameCase{"MemberFunctionPointer", "int (ns::K::*ns::K::pmf<int>(int))(char)", "ns::K::pmf<int>"},
        NameCase{"Less", "bool ns::operator< <int>(ns::K const&, int*)", "ns::operator< <int>"},
        NameCase{"LessPlain", "ns::operator<(ns::K const&, int)", "ns::operator<"},
        NameCase{"Output", "ns::K& ns::operator<< <int>(ns::K&, int)", "ns::operator<< <int>"},
        NameCase{"Input", "std::istream& ns::operator>><int, char>(std::istream&, int)",
                 "ns::operator>><int, char>"},
        NameCase{"ArrowInArguments", "ns::A<({parm#1})->f> ns::ar<int>(int)", "ns::ar<int>"},
        NameCase{"TransactionClone", "transaction clone for E::E(int)", "transaction clone for E::E"},
        NameCase{"Spaceship", "auto ns::operator<=><int>(ns::K&, int)", "ns::operator<=><int>"},
        NameCase{"GreaterOperator", "bool ns::operator><int>(ns::K const&, int*)", "ns::operator><int>"},
        NameCase{"Arrow", "ns::K* ns::K::operator-><int>()", "ns::K::operator-><int>"},
        NameCase{"Call", "int ns::K::operator()<int>(int*) const", "ns::K::operator()<int>"},
        NameCase{"CallPlain", "ns::K::operator()(int) const", "ns::K::operator()"},
        NameCase{"Index", "int& ns::K::operator[]<int>(int)", "ns::K::operator[]<int>"},
        NameCase{"New", "operator new(unsigned long, void*)", "operator new"},
        NameCase{"NewArray", "void* ns::K::operator new[]<int>(unsigned long, int)",
                 "ns::K::operator new[]<int>"},
        NameCase{"Conversion", "ns::K::operator unsigned long() const", "ns::K::operator unsigned long"},
        NameCase{"ConversionToTemplate", "D::operator std::vector<int, std::allocator<int> >()",
                 "D::operator std::vector<int, std::allocator<int> >"},
        NameCase{"ConversionToPointer", "ns::K::operator void (*)(int)() const",
                 "ns::K::operator void (*)(int)"},
        NameCase{"ConversionToArray", "K::operator int (&) [3]() const &", "K::operator int (&) [3]"},
        NameCase{"Literal", "int operator\"\" _x<int>(char const*)", "operator\"\" _x<int>"},
        NameCase{"NamedLikeOperator", "int my_operator<int>(int)", "my_operator<int>"},
        NameCase{"Lambda", "main::{lambda(int)#1}::operator()(int) const",
                 "main::{lambda(int)#1}::operator()"},
        NameCase{"LambdaArgument", "main::{lambda(int)#1} idf<main::{lambda(int)#1}>(main::{lambda(int)#1})",
                 "idf<main::{lambda(int)#1}>"},
        NameCase{"LambdaInMember",
                 "auto ns::K::loc(int) const &::{lambda(auto:1)#1}::operator()<int>(int) const",
                 "ns::K::loc(int) const &::{lambda(auto:1)#1}::operator()<int>"},
        NameCase{"LambdaInConst", "f::m<int>(int) const::{lambda(int, char)#1}::operator()(int, char) const",
                 "f::m<int>(int) const::{lambda(int, char)#1}::operator()"},
        NameCase{"Clone", "int ns::tf<int>(int) [clone .constprop.0] [clone .cold]", "ns::tf<int>"},
        NameCase{"RvalueMember", "int C::tf<int>(int) const &&", "C::tf<int>"},
        NameCase{"Thunk", "non-virtual thunk to D::g()", "non-virtual thunk to D::g"},
        NameCase{"ConversionThunk", "non-virtual thunk to D::operator std::vector<int>()",
                 "non-virtual thunk to D::operator std::vector<int>"},
        NameCase{"Unbalanced", "int f<int", "int f<int"}, NameCase{"UnbalancedEnd", "int f>", "int f>"},
        NameCase{"OpenParenthesis", "int f(a b", "f(a b"}, NameCase{"SpaceAtTheEnd", "int ", "int "},
        NameCase{"Empty", "", ""}),
    [](const testing::TestParamInfo<NameCase>& demangled) { return demangled.param.name; });

FunctionName function(std::string_view signature, std::string_view module = "libdemo.so.1") {
  return {module, "_Zsymbol", signature};
}

bool match(std::string_view pattern, const FunctionName& name) {
  auto parsed = parse_pattern(pattern);
  EXPECT_TRUE(parsed.ok()) << pattern;
  return matches(*parsed, name);
}

TEST(Pattern, MatchesSymbolSignatureAndName) {
  const FunctionName f = function("ns::Class::f(int) const");
  EXPECT_TRUE(match("_Zsymbol", f));
  EXPECT_TRUE(match("ns::Class::f", f));
  EXPECT_TRUE(match("ns::Class::f(int) const", f));
  EXPECT_TRUE(match("ns::*", f));
  EXPECT_TRUE(match("*::f", f));
  EXPECT_FALSE(match("ns::Class::f(char) const", f));
  EXPECT_FALSE(match("ns::Class", f));
}

TEST(Pattern, ParenthesisIsNotOnlyTheParameterList) {
  EXPECT_TRUE(match("ns::(anonymous namespace)::anon", function("ns::(anonymous namespace)::anon()")));
  EXPECT_TRUE(match("ns::K::operator()", function("ns::K::operator()(int) const")));
  EXPECT_TRUE(match("ns::K::operator()(int) const", function("ns::K::operator()(int) const")));
  EXPECT_FALSE(match("ns::K::operator()(char) const", function("ns::K::operator()(int) const")));
  // An empty parameter list at the end is one: the call operator's name only looks like it.
  EXPECT_FALSE(match("*()", function("ns::K::operator()(int) const")));
  EXPECT_FALSE(match("ns::*()", function("ns::K::operator()(int)")));
  EXPECT_TRUE(match("*()", function("ns::K::operator()()")));
  EXPECT_TRUE(match("*()", function("ns::f()")));
  EXPECT_TRUE(match("*operator()", function("ns::K::operator()(int) const")));
  EXPECT_TRUE(
      match("main::{lambda(int)#1}::operator()", function("main::{lambda(int)#1}::operator()(int) const")));
}

TEST(Pattern, ReturnTypeMayBeMissing) {
  const FunctionName f = function("int ns::tf<int>(int)");
  for (const char* pattern :
       {"ns::tf*", "ns::tf<int>", "ns::*", "*tf<int>", "int ns::tf<int>", "int ns::tf<int>(int)"}) {
    EXPECT_TRUE(match(pattern, f)) << pattern;
  }
  EXPECT_FALSE(match("tf<int>", f));
  EXPECT_FALSE(match("ns::tf<char>", f));
}

TEST(Pattern, ModuleIsSeparatedByOneColon) {
  const FunctionName f = function("ns::f(int)");
  EXPECT_TRUE(match("libdemo.so.1:ns::f", f));
  EXPECT_TRUE(match("libdemo:ns::f", f));
  EXPECT_TRUE(match("lib*:ns::f", f));
  EXPECT_FALSE(match("libother:ns::f", f));
  EXPECT_FALSE(match("libdem:ns::f", f));
  EXPECT_TRUE(match("program:f", {"program", "f", "f"}));
}

TEST(Pattern, ModuleAndNameCanBeAskedOneByOne) {
  const auto pattern = parse_pattern("lib*:ns::f");
  ASSERT_TRUE(pattern.ok());
  EXPECT_TRUE(matches_module(*pattern, "libdemo.so"));
  EXPECT_FALSE(matches_module(*pattern, "program"));
  EXPECT_TRUE(matches_name(*pattern, {"program", "_ZN2ns1fEi", "ns::f(int)"}));
  EXPECT_FALSE(matches_name(*pattern, {"libdemo.so", "_Z1fi", "f(int)"}));
  EXPECT_TRUE(matches_module(*parse_pattern("f"), "program"));
}

TEST(Pattern, ColonInASetOrQuotedIsNoSeparator) {
  EXPECT_TRUE(match("ns[:]f", function("ns:f")));
  EXPECT_TRUE(match("ns\\:f", function("ns:f")));
  EXPECT_TRUE(match("f\\[abi\\:cxx11\\]", function("f[abi:cxx11](int)")));
}

struct SyntaxCase {
  const char* name;
  const char* pattern;
  std::uint64_t column;
};

class PatternSyntax : public testing::TestWithParam<SyntaxCase> {};

TEST_P(PatternSyntax, ErrorPointsAtTheCharacter) {
  auto parsed = parse_pattern(GetParam().pattern);
  ASSERT_FALSE(parsed.ok());
  EXPECT_EQ(parsed.error().code, base::ErrorCode::kFilterSyntax);
  EXPECT_EQ(parsed.error().address, GetParam().column);
}

INSTANTIATE_TEST_SUITE_P(
    Rules, PatternSyntax,
    testing::Values(SyntaxCase{"Empty", "", 1}, SyntaxCase{"NothingToRemove", "!", 2},
                    SyntaxCase{"NoModule", ":f", 1}, SyntaxCase{"NoModuleToRemoveFrom", "!:f", 2},
                    SyntaxCase{"NoName", "libfoo:", 8}, SyntaxCase{"OpenSet", "abc[de", 4},
                    SyntaxCase{"OpenSetThatStartsWithItsEnd", "f[]", 2},
                    SyntaxCase{"ReversedRange", "f[az-b]", 4}, SyntaxCase{"NothingQuoted", "foo\\", 4},
                    SyntaxCase{"NothingQuotedInASet", "foo[\\", 5},
                    SyntaxCase{"ScopeInModule", "ns::a:f", 3}),
    [](const testing::TestParamInfo<SyntaxCase>& rule) { return rule.param.name; });

class FilterList : public testing::Test {
 protected:
  void add(std::string_view pattern) { ASSERT_TRUE(filter_.add(pattern).ok()); }
  void add_notrace(std::string_view pattern) { ASSERT_TRUE(filter_.add_notrace(pattern).ok()); }
  [[nodiscard]] bool selects(std::string_view name) const { return filter_.selects({"program", name, name}); }
  Filter filter_;
};

TEST_F(FilterList, EmptySelectsAll) {
  EXPECT_TRUE(filter_.empty());
  EXPECT_TRUE(selects("anything"));
}

TEST_F(FilterList, NotraceWinsWhateverTheOrder) {
  add_notrace("b*");
  add("*");
  add("bar");
  EXPECT_TRUE(selects("foo"));
  EXPECT_FALSE(selects("bar"));
}

TEST_F(FilterList, NotraceAloneStartsFromAll) {
  add_notrace("b*");
  EXPECT_TRUE(selects("foo"));
  EXPECT_FALSE(selects("bar"));
}

TEST_F(FilterList, ExclamationMarkRemovesWhatEarlierPatternsSelected) {
  add("f*");
  add("!foo");
  add("foo_again");
  EXPECT_TRUE(selects("far"));
  EXPECT_FALSE(selects("foo"));
  EXPECT_TRUE(selects("foo_again"));
  EXPECT_FALSE(selects("bar"));
}

TEST_F(FilterList, LeadingExclamationMarkStartsFromAll) {
  add("!foo");
  EXPECT_TRUE(selects("bar"));
  EXPECT_FALSE(selects("foo"));
}

TEST_F(FilterList, BadPatternIsNotAdded) {
  EXPECT_FALSE(filter_.add("[").ok());
  EXPECT_TRUE(filter_.empty());
}

TEST(EditDistance, CountsChangesIgnoringCase) {
  EXPECT_EQ(edit_distance("kitten", "sitting", 9), 3u);
  EXPECT_EQ(edit_distance("Main", "main", 9), 0u);
  EXPECT_EQ(edit_distance("", "abc", 9), 3u);
  EXPECT_EQ(edit_distance("kitten", "sitting", 2), 3u);
  EXPECT_EQ(edit_distance("abcdef", "ghijkl", 2), 3u);
  const std::string longer(kMaxCompared + 1, 'x');
  EXPECT_EQ(edit_distance(longer, longer, 1), 0u);
  EXPECT_EQ(edit_distance(longer, longer + "y", 1), 2u);
}

std::vector<std::string> suggestions(std::string_view pattern, const std::vector<std::string>& signatures) {
  NearMisses near(*parse_pattern(pattern));
  // Each name's text is gone when the next one comes.
  for (std::string signature : signatures) {
    near.consider({"program", signature, signature});
    std::fill(signature.begin(), signature.end(), '#');
  }
  return {near.best().begin(), near.best().end()};
}

TEST(NearMisses, TypingErrorsAndCase) {
  const std::vector<std::string> names = {"sqlite3_step", "sqlite3_prepare", "main", "parse_line"};
  EXPECT_EQ(suggestions("sqlite3_setp", names), std::vector<std::string>{"sqlite3_step"});
  EXPECT_EQ(suggestions("SQLITE3_STEP", names), std::vector<std::string>{"sqlite3_step"});
  EXPECT_EQ(suggestions("mian", {"zzzz", "main"}), std::vector<std::string>{"main"});
  EXPECT_EQ(suggestions("nothing_like_it", names), std::vector<std::string>{});
}

TEST(NearMisses, ScopesAndParametersMayBeMissing) {
  const std::vector<std::string> names = {"engine::Parser::parse_line(char const*)", "engine::Lexer::next()"};
  EXPECT_EQ(suggestions("parse_lin", names), std::vector<std::string>{"engine::Parser::parse_line"});
  EXPECT_EQ(suggestions("Parser::parse_line", names), std::vector<std::string>{"engine::Parser::parse_line"});
}

TEST(NearMisses, ReturnTypesAreLeftOut) {
  EXPECT_EQ(suggestions("ns::parse<imt>", {"unsigned long ns::parse<int>(int)"}),
            std::vector<std::string>{"ns::parse<int>"});
}

TEST(NearMisses, AtMostThreeBestFirst) {
  const std::vector<std::string> names = {"render_99", "render_1x", "render_2", "render_3", "render_4"};
  const auto best = suggestions("render_1", names);
  ASSERT_EQ(best.size(), 3u);
  EXPECT_EQ(best[0], "render_1x");
  // Later and nearer ones take the places of those that drop out.
  const auto nearer =
      suggestions("render_1", {"render_99", "render_98", "render_97", "render_2", "render_1"});
  EXPECT_EQ(nearer, (std::vector<std::string>{"render_1", "render_2", "render_99"}));
}

}  // namespace
}  // namespace calltap::filter
