// How calls are shown with their arguments, whatever a recording says they are.
#include "export/arguments_text.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <sstream>

#include "event/arguments.h"
#include "export/replay.h"
#include "trace_synthetic.h"

namespace calltap::test {
namespace {

using trace::CallArguments;
using trace::Parameter;
using trace::Parameters;

constexpr std::uint64_t kOnes = ~std::uint64_t{0};

Parameter parameter(const std::string& name, const std::string& value) {
  Parameter p;
  p.name = name;
  p.type = "number";
  EXPECT_TRUE(trace::decode_value(value, p)) << value;
  EXPECT_EQ(trace::encode_value(p), value);
  return p;
}

CallArguments arguments(std::vector<std::uint64_t> integers, const std::vector<std::uint64_t>& floats = {}) {
  const auto layout = event::arguments_layout(static_cast<std::uint32_t>(integers.size()),
                                              static_cast<std::uint32_t>(floats.size()));
  integers.insert(integers.end(), floats.begin(), floats.end());
  return {layout, integers};
}

std::string shown(const std::string& value, std::uint64_t word) {
  const Parameters parameters = {{parameter("v", value)}};
  const std::string call = export_::call_with_arguments("f", arguments({word}, {word}), parameters, "x86_64");
  EXPECT_TRUE(call.starts_with("f(v=") && call.ends_with(')')) << call;
  return call.substr(4, call.size() - 5);
}

TEST(ArgumentsText, ShowsNumbers) {
  EXPECT_EQ(shown("d4i0", 0xfffffffb), "-5");
  EXPECT_EQ(shown("d4i0", 0xabcdef00000005), "5") << "what is above the value belongs to nobody";
  EXPECT_EQ(shown("d8i0", std::uint64_t{1} << 63), "-9223372036854775808");
  EXPECT_EQ(shown("u8i0", kOnes), "18446744073709551615");
  EXPECT_EQ(shown("u1i0", 0x1234), "52");
  EXPECT_EQ(shown("d1i0", 0x80), "-128");
  EXPECT_EQ(shown("p8i0", 0), "0x0");
  EXPECT_EQ(shown("p8i0", 0x7fff0000), "0x7fff0000");
  EXPECT_EQ(shown("b1i0", 0xff00), "false");
  EXPECT_EQ(shown("b1i0", 0x1), "true");
  EXPECT_EQ(shown("b1i0", 0x2), "2");
  EXPECT_EQ(shown("f8f0", std::bit_cast<std::uint64_t>(-2.25)), "-2.25");
  EXPECT_EQ(shown("f4f0", kOnes << 32 | std::bit_cast<std::uint32_t>(0.1F)), "0.1");
}

TEST(ArgumentsText, ShowsCharactersThatNoTerminalObeys) {
  EXPECT_EQ(shown("c1i0", 'a'), "'a'");
  EXPECT_EQ(shown("c1i0", 0), R"('\0')");
  EXPECT_EQ(shown("c1i0", '\n'), R"('\n')");
  EXPECT_EQ(shown("c1i0", '\''), R"('\'')");
  EXPECT_EQ(shown("c1i0", 0x1b), R"('\x1b')");
  EXPECT_EQ(shown("c1i0", 0x7f), R"('\x7f')");
  EXPECT_EQ(shown("c1i0", 0x9b), R"('\x9b')");
}

TEST(ArgumentsText, TakesThePlaceOfASignature) {
  const auto call = [](const std::string& name) {
    return export_::call_with_arguments(name, arguments({1, 2}),
                                        {{parameter("a", "d4i0"), parameter("", "d4i1")}}, "x86_64");
  };
  EXPECT_EQ(call("f"), "f(a=1, 2)");
  EXPECT_EQ(call("ns::f(int, void (*)(int)) const"), "ns::f(a=1, 2) const");
  EXPECT_EQ(call("(anonymous namespace)::f(int)"), "(anonymous namespace)::f(a=1, 2)");
  EXPECT_EQ(call("S::operator()(int)"), "S::operator()(a=1, 2)");
  EXPECT_EQ(call("broken) name"), "broken) name(a=1, 2)");
}

TEST(ArgumentsText, ClaimsNothingWithoutParameters) {
  const auto call = [](const CallArguments& a, const std::string& machine) {
    return export_::call_with_arguments("f", a, std::nullopt, machine);
  };
  EXPECT_EQ(call(arguments({1, kOnes}, {5}), "x86_64"), "f() [rdi=0x1 rsi=0xffffffffffffffff]");
  EXPECT_EQ(call(arguments({1, 2}), "aarch64"), "f() [x0=0x1 x1=0x2]");
  EXPECT_EQ(call(arguments({1, 2}), "riscv64"), "f() [a0=0x1 a1=0x2]");
  EXPECT_EQ(export_::call_with_arguments("g(int)", arguments({1}), std::nullopt, "x86_64"),
            "g(int) [rdi=0x1]");
}

TEST(ArgumentsText, DoesNotBelieveTheLayout) {
  const CallArguments few = {event::arguments_layout(200, 200), {7}};
  EXPECT_EQ(export_::call_with_arguments("f", few, std::nullopt, "x86_64"), "f() [rdi=0x7]");
  const Parameters parameters = {{parameter("a", "d4i0"), parameter("b", "d4i7"), parameter("c", "f8f7")}};
  EXPECT_EQ(export_::call_with_arguments("f", few, parameters, "x86_64"), "f(a=7, b=..., c=...)");
  EXPECT_EQ(export_::call_with_arguments("f", {}, parameters, "x86_64"), "f(a=..., b=..., c=...)");
  Parameter p;
  for (const char* word : {"", "d4i", "d0i0", "d9i0", "d4i8", "d4x0", "x4i0", "d4i00", "?4i0", "d4-0"}) {
    EXPECT_FALSE(trace::decode_value(word, p)) << word;
  }
}

TEST(ArgumentsText, IsJson) {
  const auto json = [](const CallArguments& a, const Parameters& parameters) {
    return nlohmann::json::parse("{\"x\":0" + export_::json_with_arguments(a, parameters, "x86_64") + "}");
  };
  const auto infinite = std::bit_cast<std::uint64_t>(HUGE_VAL);
  const Parameters parameters = {{parameter("a\"\xff", "u8i0"), parameter("b", "c1i1"),
                                  parameter("c", "p8i2"), parameter("d", "f8f0"), parameter("e", "?"),
                                  parameter("f", "b1i1")}};
  const auto values = json(arguments({kOnes, 27, 16}, {infinite}), parameters)["arguments"];
  ASSERT_EQ(values.size(), 6U);
  EXPECT_EQ(values[0]["value"], kOnes);
  EXPECT_EQ(values[1]["value"], R"('\x1b')");
  EXPECT_EQ(values[2]["value"], "0x10");
  EXPECT_EQ(values[3]["value"], "inf");
  EXPECT_TRUE(values[4]["value"].is_null());
  EXPECT_EQ(values[5]["value"], 27);
  EXPECT_EQ(json(arguments({3}), std::nullopt)["registers"], (nlohmann::json{{"rdi", "0x3"}}));
}

/// Replays a stream of functions "f(int)", "g", "handler"; the first has one parameter that is known.
std::vector<std::string> replayed(SyntheticStream& stream) {
  TemporaryDirectory directory;
  trace::ProcessDescription process = synthetic_description({"f(int)", "g", "handler"});
  process.functions[0].parameters = {{parameter("a", "d4i0")}};
  process.host.machine = "x86_64";
  add_thread(process, 10, "main");
  write_bytes(write_process(directory.path(), process) / "thread-10", stream.bytes());
  const std::filesystem::path file = directory.path() / "output";
  std::FILE* const to = std::fopen(file.c_str(), "w");
  {
    export_::Output out(::fileno(to), false);
    export_::replay(out, trace::open_session(directory.path()), {});
  }
  std::fclose(to);
  std::vector<std::string> calls;
  std::istringstream lines(read_bytes(file));
  for (std::string line; std::getline(lines, line);) {
    if (const std::size_t bar = line.find("|  "); bar != std::string::npos)
      calls.push_back(line.substr(bar + 3));
  }
  return calls;
}

using Calls = std::vector<std::string>;
constexpr auto kArguments = event::EventId::kArguments;
constexpr std::uint32_t kOneRegister = event::arguments_layout(1, 0);

TEST(ArgumentsText, AreThoseOfTheNextEntry) {
  SyntheticStream s(10);
  s.with_words(kArguments, 1, 1, kOneRegister, {5}).entry(1, 2);
  s.with_words(kArguments, 2, 3, kOneRegister, {6}).entry(2, 4).exit(2, 5).exit(1, 6);
  s.entry(1, 7).exit(1, 8);
  EXPECT_EQ(replayed(s), (Calls{"f(a=5) {", "  g() [rdi=0x6];", "} /* f(int) */", "f(int);"}));
}

TEST(ArgumentsText, AreNotThoseOfASignalHandlersCalls) {
  SyntheticStream s(10);
  s.with_words(kArguments, 1, 1, kOneRegister, {5});
  s.with_words(kArguments, 3, 2, kOneRegister, {6}).entry(3, 2);
  s.with_words(kArguments, 1, 3, kOneRegister, {7}).entry(1, 3).exit(1, 4).exit(3, 5);
  s.entry(1, 6).exit(1, 7);
  EXPECT_EQ(replayed(s), (Calls{"handler() [rdi=0x6] {", "  f(a=7);", "} /* handler */", "f(a=5);"}));
}

TEST(ArgumentsText, AreNotThoseOfACallBehindAGap) {
  SyntheticStream s(10);
  s.with_words(kArguments, 1, 1, kOneRegister, {5}).end_packet().discarded(1).entry(1, 10).exit(1, 11);
  const Calls calls = replayed(s);
  EXPECT_EQ(calls.back(), "f(int);");
}

}  // namespace
}  // namespace calltap::test
