// The unwinder on tables that are written here, and on this process's own, beside glibc's backtrace().
#include <execinfo.h>
#include <gtest/gtest.h>
#include <link.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <vector>

#include "unwind/frame_table.h"

namespace calltap::unwind {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::uint32_t kPlentyOfWork = 10'000;

/// A few words of memory.
struct Words {
  std::map<std::uint64_t, std::uint64_t> at;

  static bool read(void* context, std::uint64_t address, void* to, std::size_t bytes) {
    const auto& words = static_cast<Words*>(context)->at;
    const auto found = words.find(address);
    if (found == words.end() || bytes > sizeof found->second) return false;
    std::memcpy(to, &found->second, bytes);
    return true;
  }
  Memory memory() { return {read, this}; }
};

Registers registers_with(std::initializer_list<std::pair<unsigned, std::uint64_t>> values) {
  Registers registers;
  for (const auto& [number, value] : values) registers.set(number, value);
  return registers;
}

std::optional<std::uint64_t> result_of(const Bytes& expression, std::uint64_t first = 1000) {
  Words words{{{0x5000, 0x1122334455667788}}};
  auto space = std::make_unique<Space>();
  space->work = kPlentyOfWork;
  std::uint64_t result = 0;
  const Registers registers = registers_with({{3, 300}, {kStackColumn, 0x4ff8}});
  if (!evaluate(ByteCursor(expression, 0), words.memory(), registers, &first, *space, result))
    return std::nullopt;
  return result;
}

TEST(UnwindExpression, Computes) {
  constexpr std::uint64_t kMinus2 = ~std::uint64_t{1};
  const std::pair<Bytes, std::uint64_t> cases[] = {
      {{}, 1000},
      {{0x35}, 5},                                              // lit5
      {{0x73, 0x7f}, 299},                                      // breg3 -1
      {{0x92, 0x03, 0x05}, 305},                                // bregx 3 5
      {{0x70 + kStackColumn, 0x08, 0x06}, 0x1122334455667788},  // deref [sp + 8]
      {{0x70 + kStackColumn, 0x08, 0x94, 2}, 0x7788},           // deref_size 2
      {{0x09, 0xfe}, kMinus2},
      {{0x0a, 0x34, 0x12}, 0x1234},
      {{0x0d, 0xfe, 0xff, 0xff, 0xff}, kMinus2},
      {{0x10, 0x80, 0x02}, 256},
      {{0x11, 0x7e}, kMinus2},
      {{0x23, 0x18}, 1024},                                        // plus_uconst
      {{0x3a, 0x34, 0x1c}, 6},                                     // 10 - 4
      {{0x09, 0xf6, 0x33, 0x1b}, static_cast<std::uint64_t>(-3)},  // -10 / 3
      {{0x0f, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x09, 0xff, 0x1b},
       std::uint64_t{1} << 63},                                          // the one that overflows
      {{0x3a, 0x34, 0x1d}, 2},                                           // 10 % 4
      {{0x31, 0x08, 200, 0x24}, 0},                                      // 1 << 200
      {{0x09, 0xf0, 0x32, 0x26}, static_cast<std::uint64_t>(-4)},        // -16 >> 2
      {{0x31, 0x32, 0x33, 0x17, 0x1c}, static_cast<std::uint64_t>(-1)},  // rot: 3 1 2, 1 - 2
      {{0x31, 0x32, 0x14, 0x15, 0x02}, 1},                               // over, pick
      {{0x31, 0x28, 0x01, 0x00, 0x06, 0x34}, 4},                         // bra over a deref that would fail
      {{0x3f, 0x3b, 0x2a}, 1},                                           // 15 >= 11
  };
  for (const auto& [expression, expected] : cases)
    EXPECT_EQ(result_of(expression), expected) << "op " << int(expression.empty() ? 0 : expression.back());
}

TEST(UnwindExpression, RefusesWhatCannotBe) {
  const Bytes cases[] = {
      {0x13, 0x13},                    // drops more than there is
      {0x22},                          // one operand for two
      {0x30, 0x1b},                    // division by zero
      {0x06},                          // no memory at 1000
      {0x71, 0x00},                    // an unknown register
      {0x92, 0x80, 0x80, 0x01, 0x00},  // one that does not exist
      {0x94, 0x09},                    // 9 bytes
      {0x08},                          // cut off
      {0x2f, 0xfd, 0xff},              // jumps to itself for ever
      {0x2f, 0x00, 0x80},              // before the expression
      {0x2f, 0x10, 0x00},              // behind it
      {0xe0},                          // unknown
      Bytes(40, 0x31),                 // more operands than there is room for
  };
  for (const Bytes& expression : cases) EXPECT_EQ(result_of(expression), std::nullopt) << int(expression[0]);
}

/// A CIE and FDEs of code at 0x100000 with these programs, as they would lie at 0x20000.
struct Table {
  static constexpr std::uint64_t kBegin = 0x100000;
  static constexpr std::uint8_t kReturn = kStackColumn == kColumns - 1 ? kColumns - 2 : kColumns - 1;

  Bytes common;
  Bytes function;

  Table(const Bytes& common_program, const Bytes& program, const char* augmentation = "zR") {
    common = {0, 0, 0, 0, 1};
    for (const char* c = augmentation; *c != 0; ++c) common.push_back(static_cast<std::uint8_t>(*c));
    common.insert(common.end(), {0, 1, 0x78, kReturn, 1, 0x00});  // factors 1 and -8; absolute addresses
    common.insert(common.end(), common_program.begin(), common_program.end());
    function = {0x00, 0x10, 0, 0};  // the distance to the CIE
    for (const std::uint64_t value : {kBegin, std::uint64_t{0x100}}) {
      for (int i = 0; i < 8; ++i) function.push_back(static_cast<std::uint8_t>(value >> 8 * i));
    }
    function.push_back(0);
    function.insert(function.end(), program.begin(), program.end());
  }

  /// The caller's registers; nothing if they cannot be found.
  std::optional<Registers> caller(std::uint64_t offset, Step expected, Registers registers) const {
    Words words{{{0x7000, 0x200020}, {0x6ff8, 0xb0b}, {0x6ff0, 0x7ee}}};
    auto space = std::make_unique<Space>();
    space->work = kPlentyOfWork;
    Description description;
    const Entry function_entry = {function, 0x21000};
    EXPECT_EQ(common_entry_of(function_entry), 0x20000U);
    if (!read_description({common, 0x20000}, function_entry, description)) return std::nullopt;
    EXPECT_EQ(description.begin, kBegin);
    EXPECT_EQ(description.end, kBegin + 0x100);
    registers.counter = kBegin + offset;
    const Step step = step_out(description, kBegin + offset, words.memory(), *space, registers);
    EXPECT_EQ(step, expected) << "at " << offset;
    return step == Step::kCaller ? std::optional(registers) : std::nullopt;
  }
};

// def_cfa sp, 8; the return address is at the frame's address - 8
const Bytes kCommonProgram = {0x0c, kStackColumn, 8, 0x80 | Table::kReturn, 1};

TEST(UnwindCallFrame, FollowsTheFunctionsRows) {
  // +1: the frame 16 bytes on, register 3 saved; +4: remembered, all gone; +6: as before
  const Table table(kCommonProgram, {0x41, 0x0e, 16, 0x83, 2, 0x43, 0x0a, 0x0e, 8, 0xc3, 0x42, 0x0b});
  const auto at = [&](std::uint64_t offset, std::uint64_t sp) {
    return table.caller(offset, Step::kCaller, registers_with({{kStackColumn, sp}, {3, 33}}));
  };
  const auto check = [](const std::optional<Registers>& caller, std::uint64_t third) {
    ASSERT_TRUE(caller);
    EXPECT_EQ(caller->counter, 0x200020U);
    EXPECT_EQ(caller->value[kStackColumn], 0x7008U);
    EXPECT_EQ(caller->value[3], third);
  };
  check(at(0, 0x7000), 33);
  check(at(1, 0x6ff8), 0xb0b);
  check(at(3, 0x6ff8), 0xb0b);
  check(at(4, 0x7000), 33);
  check(at(6, 0x6ff8), 0xb0b);
}

TEST(UnwindCallFrame, FollowsExpressions) {
  // As in Calltap's trampolines: the caller's sp is sp, the return address and register 3 are where 3 points.
  const Table table(kCommonProgram, {0x16, kStackColumn, 2, 0x70 + kStackColumn, 0x00,  //
                                     0x10, Table::kReturn, 2, 0x73, 0x10,               //
                                     0x10, 3, 2, 0x73, 0x00});
  const auto caller = table.caller(5, Step::kCaller, registers_with({{kStackColumn, 0x1234}, {3, 0x6ff0}}));
  ASSERT_TRUE(caller);
  EXPECT_EQ(caller->counter, 0x200020U);
  EXPECT_EQ(caller->value[kStackColumn], 0x1234U);
  EXPECT_EQ(caller->value[3], 0x7eeU);
  // As in a PLT: sp + 8 + (reg3 >= 11) * 8.
  const Bytes plt = {0x70 + kStackColumn, 8, 0x73, 0x00, 0x3b, 0x2a, 0x33, 0x24, 0x22};
  Bytes program = {0x0f, static_cast<std::uint8_t>(plt.size())};
  program.insert(program.end(), plt.begin(), plt.end());
  const Table entry(kCommonProgram, program);
  for (const auto& [third, sp] : {std::pair(10, 0x7000), std::pair(11, 0x6ff8)}) {
    const Registers now = registers_with(
        {{kStackColumn, static_cast<std::uint64_t>(sp)}, {3, static_cast<std::uint64_t>(third)}});
    const auto outer = entry.caller(0, Step::kCaller, now);
    ASSERT_TRUE(outer);
    EXPECT_EQ(outer->counter, 0x200020U);
  }
}

TEST(UnwindCallFrame, EndsWhereTheTableSaysSo) {
  const Table outermost(kCommonProgram, {0x07, Table::kReturn});
  outermost.caller(0, Step::kOutermost, registers_with({{kStackColumn, 0x7000}}));
  const Table plain(kCommonProgram, {});
  plain.caller(0, Step::kUnreadable, registers_with({{kStackColumn, 0x1111000}}));  // no memory there
  plain.caller(0, Step::kUnreadable, registers_with({{3, 0x7000}}));                // sp is not known
}

TEST(UnwindCallFrame, RefusesWhatCannotBe) {
  const Bytes programs[] = {
      {0x0b},                     // restores what was never remembered
      Bytes(20, 0x0a),            // remembers too much
      {0x3f},                     // unknown
      {0x0c, 0x7f, 0x00},         // a frame of no register
      {0x0f, 0x7f, 0x00},         // an expression that is cut off
      {0x02},                     // cut off
      {0x09, Table::kReturn, 9},  // in a register that is not known
  };
  for (const Bytes& program : programs) {
    const Table table(kCommonProgram, program);
    table.caller(0, Step::kUnreadable, registers_with({{kStackColumn, 0x7000}}));
  }
  EXPECT_FALSE(Table(kCommonProgram, {}, "eh").caller(0, Step::kCaller, {}));
}

// Found by the sanitizers, if anything.
TEST(UnwindCallFrame, SurvivesAnyTable) {
  std::mt19937 random(20);
  const Table good(kCommonProgram,
                   {0x41, 0x0e, 16, 0x83, 2, 0x43, 0x0a, 0x0e, 8, 0xc3, 0x42, 0x0b, 0x10, 3, 2, 0x73, 0x00});
  auto space = std::make_unique<Space>();
  std::size_t callers = 0;
  for (int round = 0; round < 50'000; ++round) {
    Bytes common = good.common;
    Bytes function = good.function;
    for (int i = 0; i < 3; ++i) {
      Bytes& bytes = random() % 2 == 0 ? common : function;
      bytes[random() % bytes.size()] = static_cast<std::uint8_t>(random());
      if (random() % 8 == 0) bytes.resize(random() % bytes.size() + 1);
    }
    // Exactly as large as they are, so that reads behind them are found.
    const auto own_common = std::make_unique<std::uint8_t[]>(common.size());
    const auto own_function = std::make_unique<std::uint8_t[]>(function.size());
    std::memcpy(own_common.get(), common.data(), common.size());
    std::memcpy(own_function.get(), function.data(), function.size());
    Description description;
    if (!read_description({{own_common.get(), common.size()}, 0x20000},
                          {{own_function.get(), function.size()}, 0x21000}, description))
      continue;
    Words words{{{0x7000, 0x200020}, {0x6ff8, 0xb0b}}};
    Registers registers = registers_with({{kStackColumn, 0x6ff8}, {3, 33}});
    space->work = kPlentyOfWork;
    const Step step =
        step_out(description, description.begin + random() % 16, words.memory(), *space, registers);
    callers += step == Step::kCaller ? 1 : 0;
  }
  EXPECT_GT(callers, 100U);
}

/// The tables of the loaded module that holds an address.
struct Lookup {
  std::uint64_t address = 0;
  Tables tables;
};

int look_at_module(dl_phdr_info* info, std::size_t /*size*/, void* data) {
  auto& lookup = *static_cast<Lookup*>(data);
  std::vector<Range> segments;
  std::uint64_t header = 0;
  bool holds = false;
  for (const ElfW(Phdr)* p = info->dlpi_phdr; p != info->dlpi_phdr + info->dlpi_phnum; ++p) {
    const std::uint64_t begin = info->dlpi_addr + p->p_vaddr;
    if (p->p_type == PT_GNU_EH_FRAME) header = begin;
    if (p->p_type != PT_LOAD) continue;
    segments.push_back({begin, begin + p->p_filesz});
    holds = holds || segments.back().contains(lookup.address);
  }
  if (!holds || header == 0) return 0;
  const auto segment_of = [&](std::uint64_t address) {
    for (const Range& segment : segments) {
      if (segment.contains(address)) return segment;
    }
    return Range{};
  };
  lookup.tables.header = header;
  lookup.tables.header_memory = segment_of(header);
  lookup.tables.frame_memory = segment_of(frame_section(lookup.tables));
  return 1;
}

bool read_directly(void* /*context*/, std::uint64_t address, void* to, std::size_t bytes) {
  std::memcpy(to, reinterpret_cast<const void*>(address), bytes);
  return true;
}

struct Stacks {
  std::vector<std::uint64_t> ours;
  bool ends = false;
  std::vector<std::uint64_t> theirs;
};

[[gnu::noinline]] void take_both(Stacks& stacks) {
  std::array<void*, 100> theirs{};
  const int count = ::backtrace(theirs.data(), static_cast<int>(theirs.size()));
  for (int i = 1; i < count; ++i) stacks.theirs.push_back(reinterpret_cast<std::uint64_t>(theirs[i]));
  Registers registers;
  registers.known = isa::native::read_unwind_registers(registers.value, registers.counter);
  const auto space = std::make_unique<Space>();
  space->work = 1'000'000;
  bool exact = true;
  for (;;) {
    const std::uint64_t inside = registers.counter - (exact ? 0 : 1);
    Lookup lookup = {inside, {}};
    Description description;
    if (::dl_iterate_phdr(look_at_module, &lookup) == 0 ||
        !find_description(lookup.tables, inside, description))
      return;
    exact = description.is_signal_frame;
    const Step step = step_out(description, inside, {read_directly, nullptr}, *space, registers);
    stacks.ends = step == Step::kOutermost;
    if (step != Step::kCaller) return;
    stacks.ours.push_back(registers.counter);
  }
}

/// Frames of many sizes.
[[gnu::noinline]] int descend(int depth, Stacks& stacks) {
  volatile char room[64] = {};
  room[depth % 64] = 1;
  if (depth == 0) {
    take_both(stacks);
    return room[0];
  }
  if (depth % 3 == 0) {
    auto* more = static_cast<volatile char*>(__builtin_alloca(static_cast<std::size_t>(depth) * 40));
    more[depth] = 1;
    return descend(depth - 1, stacks) + more[depth];
  }
  return descend(depth - 1, stacks) + room[depth % 64];
}

TEST(UnwindWalk, AgreesWithBacktrace) {
  Stacks stacks;
  descend(30, stacks);
  EXPECT_TRUE(stacks.ends);
  ASSERT_GT(stacks.ours.size(), 31U);
  // AddressSanitizer's backtrace() lists itself first. The outermost function returns to nowhere: glibc may
  // list that.
  stacks.theirs.erase(stacks.theirs.begin(),
                      std::find(stacks.theirs.begin(), stacks.theirs.end(), stacks.ours[0]));
  ASSERT_GE(stacks.theirs.size(), stacks.ours.size());
  stacks.theirs.resize(stacks.ours.size());
  EXPECT_EQ(stacks.ours, stacks.theirs);
}

}  // namespace
}  // namespace calltap::unwind
