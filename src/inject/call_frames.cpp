#include "inject/call_frames.h"

#include <cstring>
#include <span>
#include <string>

namespace calltap::inject {
namespace {

constexpr std::size_t kMostFrames = 4096;
constexpr std::size_t kMostBytes = 1 << 16;

/// Thrown for tables that are malformed or use what we do not know: the chain ends there, incomplete.
struct Unreadable {};

/// A cursor over bytes that were read from `address`.
class Reader {
 public:
  Reader(const std::vector<std::uint8_t>& bytes, std::uint64_t address)
      : address_(address), bytes_(bytes.data(), bytes.size()) {}
  Reader(std::span<const std::uint8_t> bytes, std::uint64_t address) : address_(address), bytes_(bytes) {}

  [[nodiscard]] bool at_end() const { return at_ >= bytes_.size(); }
  [[nodiscard]] std::uint64_t address() const { return address_ + at_; }

  template <class T>
  T fixed() {
    T value;
    if (bytes_.size() - at_ < sizeof value) throw Unreadable{};
    std::memcpy(&value, bytes_.data() + at_, sizeof value);
    at_ += sizeof value;
    return value;
  }

  std::uint64_t uleb() {
    std::uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
      const auto byte = fixed<std::uint8_t>();
      if (shift < 64) value |= std::uint64_t{byte & 0x7FU} << shift;
      if ((byte & 0x80) == 0) return value;
    }
  }

  std::int64_t sleb() {
    std::uint64_t value = 0;
    for (unsigned shift = 0;;) {
      const auto byte = fixed<std::uint8_t>();
      if (shift < 64) value |= std::uint64_t{byte & 0x7FU} << shift;
      shift += 7;
      if ((byte & 0x80) != 0) continue;
      if (shift < 64 && (byte & 0x40) != 0) value |= ~std::uint64_t{0} << shift;
      return static_cast<std::int64_t>(value);
    }
  }

  /// DW_EH_PE_*: absolute, relative to itself, or relative to `data`.
  std::uint64_t encoded(std::uint8_t encoding, std::uint64_t data) {
    const std::uint64_t self = address();
    std::uint64_t value = 0;
    switch (encoding & 0x0F) {
      case 0x00:
      case 0x04:
      case 0x0C:
        value = fixed<std::uint64_t>();
        break;
      case 0x01:
        value = uleb();
        break;
      case 0x02:
        value = fixed<std::uint16_t>();
        break;
      case 0x03:
        value = fixed<std::uint32_t>();
        break;
      case 0x09:
        value = static_cast<std::uint64_t>(sleb());
        break;
      case 0x0A:
        value = static_cast<std::uint64_t>(std::int64_t{fixed<std::int16_t>()});
        break;
      case 0x0B:
        value = static_cast<std::uint64_t>(std::int64_t{fixed<std::int32_t>()});
        break;
      default:
        throw Unreadable{};
    }
    switch (encoding & 0x70) {
      case 0x00:
        return value;
      case 0x10:
        return value + self;
      case 0x30:
        return value + data;
      default:
        throw Unreadable{};
    }
  }

  Reader block(std::uint64_t size) {
    if (size > bytes_.size() - at_) throw Unreadable{};
    Reader inner(bytes_.subspan(at_, size), address());
    at_ += size;
    return inner;
  }
  Reader rest() { return block(bytes_.size() - at_); }

 private:
  std::uint64_t address_;
  std::span<const std::uint8_t> bytes_;
  std::size_t at_ = 0;
};

/// One entry of .eh_frame without its length.
std::vector<std::uint8_t> entry_bytes(const TargetMemory& memory, std::uint64_t address) {
  const auto size = memory.value<std::uint32_t>(address);
  if (!size || *size == 0 || *size > kMostBytes) throw Unreadable{};
  std::vector<std::uint8_t> bytes = memory.bytes(address + 4, *size);
  if (bytes.size() != *size) throw Unreadable{};
  return bytes;
}

struct Common {
  std::uint64_t code_factor = 1;
  std::int64_t data_factor = 1;
  std::uint8_t pointer_encoding = 0;
  bool augmented = false;
  bool signal_frame = false;
  std::vector<std::uint8_t> bytes;
  std::vector<std::uint8_t> program;
};

Common read_common(const TargetMemory& memory, std::uint64_t address) {
  Common common;
  common.bytes = entry_bytes(memory, address);
  Reader reader(common.bytes, address + 4);
  if (reader.fixed<std::uint32_t>() != 0) throw Unreadable{};
  const auto version = reader.fixed<std::uint8_t>();
  std::string augmentation;
  while (const auto letter = reader.fixed<char>()) augmentation.push_back(letter);
  common.code_factor = reader.uleb();
  common.data_factor = reader.sleb();
  const std::uint64_t return_register = version == 1 ? reader.fixed<std::uint8_t>() : reader.uleb();
  if (return_register != FrameRegisters::kReturn) throw Unreadable{};
  if (augmentation.starts_with('z')) {
    common.augmented = true;
    Reader data = reader.block(reader.uleb());
    for (const char letter : augmentation.substr(1)) {
      if (letter == 'R') common.pointer_encoding = data.fixed<std::uint8_t>();
      if (letter == 'L') data.fixed<std::uint8_t>();
      if (letter == 'P') data.encoded(data.fixed<std::uint8_t>() & 0x0F, 0);
      if (letter == 'S') common.signal_frame = true;
    }
  } else if (!augmentation.empty()) {
    throw Unreadable{};
  }
  while (!reader.at_end()) common.program.push_back(reader.fixed<std::uint8_t>());
  return common;
}

struct Description {
  Common common;
  Range code;
  std::vector<std::uint8_t> program;
};

Description read_description(const TargetMemory& memory, std::uint64_t address) {
  Description description;
  const std::vector<std::uint8_t> bytes = entry_bytes(memory, address);
  Reader reader(bytes, address + 4);
  const auto back = reader.fixed<std::uint32_t>();
  if (back == 0) throw Unreadable{};
  description.common = read_common(memory, address + 4 - back);
  const std::uint8_t encoding = description.common.pointer_encoding;
  description.code.begin = reader.encoded(encoding, 0);
  description.code.end = description.code.begin + reader.encoded(encoding & 0x0F, 0);
  if (description.common.augmented) reader.block(reader.uleb());
  while (!reader.at_end()) description.program.push_back(reader.fixed<std::uint8_t>());
  return description;
}

/// Where a register of the caller is.
struct Rule {
  enum class Kind : std::uint8_t { kSame, kUndefined, kAt, kIs, kRegister, kAtExpression, kIsExpression };
  Kind kind = Kind::kSame;
  std::int64_t offset = 0;
  std::vector<std::uint8_t> expression;
};

struct Row {
  std::uint64_t frame_register = FrameRegisters::kStack;
  std::int64_t frame_offset = 0;
  std::vector<std::uint8_t> frame_expression;
  std::array<Rule, 17> rules;
};

std::vector<std::uint8_t> expression_of(Reader& reader) {
  Reader block = reader.block(reader.uleb());
  std::vector<std::uint8_t> bytes;
  while (!block.at_end()) bytes.push_back(block.fixed<std::uint8_t>());
  return bytes;
}

/// Runs call frame instructions up to `target`, an address, into `row`.
class Program {
 public:
  Program(const Common& common, std::uint64_t location, std::uint64_t target)
      : common_(common), location_(location), target_(target) {}

  void run(const std::vector<std::uint8_t>& bytes, Row& row) {
    Reader reader(bytes, 0);
    while (!reader.at_end() && location_ <= target_) step(reader, row);
  }
  void set_initial(const Row& row) { initial_ = row; }

 private:
  void set(Row& row, std::uint64_t number, Rule rule) {
    if (number < row.rules.size()) row.rules[number] = std::move(rule);  // others are vector registers
  }

  void step(Reader& reader, Row& row) {
    using Kind = Rule::Kind;
    const auto op = reader.fixed<std::uint8_t>();
    const std::uint64_t low = op & 0x3F;
    if ((op & 0xC0) == 0x40) {
      location_ += low * common_.code_factor;
    } else if ((op & 0xC0) == 0x80) {
      const std::int64_t offset = static_cast<std::int64_t>(reader.uleb()) * common_.data_factor;
      set(row, low, {Kind::kAt, offset, {}});
    } else if ((op & 0xC0) == 0xC0) {
      restore(row, low);
    } else {
      extended(op, reader, row);
    }
  }

  void restore(Row& row, std::uint64_t number) {
    if (number < row.rules.size()) row.rules[number] = initial_.rules[number];
  }

  void extended(std::uint8_t op, Reader& reader, Row& row) {
    using Kind = Rule::Kind;
    auto scaled = [&] { return static_cast<std::int64_t>(reader.uleb()) * common_.data_factor; };
    std::uint64_t number = 0;
    switch (op) {
      case 0x00:
        break;  // nop
      case 0x01:
        location_ = reader.encoded(common_.pointer_encoding, 0);
        break;
      case 0x02:
        location_ += reader.fixed<std::uint8_t>() * common_.code_factor;
        break;
      case 0x03:
        location_ += reader.fixed<std::uint16_t>() * common_.code_factor;
        break;
      case 0x04:
        location_ += reader.fixed<std::uint32_t>() * common_.code_factor;
        break;
      case 0x05:
        number = reader.uleb();
        set(row, number, {Kind::kAt, scaled(), {}});
        break;
      case 0x06:
        restore(row, reader.uleb());
        break;
      case 0x07:
        set(row, reader.uleb(), {Kind::kUndefined, 0, {}});
        break;
      case 0x08:
        set(row, reader.uleb(), {Kind::kSame, 0, {}});
        break;
      case 0x09:
        number = reader.uleb();
        set(row, number, {Kind::kRegister, static_cast<std::int64_t>(reader.uleb()), {}});
        break;
      case 0x0A:
        remembered_.push_back(row);
        break;
      case 0x0B:
        if (remembered_.empty()) throw Unreadable{};
        row = std::move(remembered_.back());
        remembered_.pop_back();
        break;
      case 0x0C:
        row.frame_register = reader.uleb();
        row.frame_offset = static_cast<std::int64_t>(reader.uleb());
        row.frame_expression.clear();
        break;
      case 0x0D:
        row.frame_register = reader.uleb();
        break;
      case 0x0E:
        row.frame_offset = static_cast<std::int64_t>(reader.uleb());
        break;
      case 0x0F:
        row.frame_expression = expression_of(reader);
        break;
      case 0x10:
        number = reader.uleb();
        set(row, number, {Kind::kAtExpression, 0, expression_of(reader)});
        break;
      case 0x11:
        number = reader.uleb();
        set(row, number, {Kind::kAt, reader.sleb() * common_.data_factor, {}});
        break;
      case 0x12:
        row.frame_register = reader.uleb();
        row.frame_offset = reader.sleb() * common_.data_factor;
        row.frame_expression.clear();
        break;
      case 0x13:
        row.frame_offset = reader.sleb() * common_.data_factor;
        break;
      case 0x14:
        number = reader.uleb();
        set(row, number, {Kind::kIs, scaled(), {}});
        break;
      case 0x16:
        number = reader.uleb();
        set(row, number, {Kind::kIsExpression, 0, expression_of(reader)});
        break;
      case 0x2E:
        reader.uleb();
        break;  // size of the arguments on the stack
      default:
        throw Unreadable{};
    }
  }

  const Common& common_;
  std::uint64_t location_;
  std::uint64_t target_;
  Row initial_;
  std::vector<Row> remembered_;
};

/// DWARF expressions, as far as PLTs, signal frames and Calltap's trampolines use them.
std::uint64_t evaluate(const std::vector<std::uint8_t>& bytes, const TargetMemory& memory,
                       const FrameRegisters& registers, std::vector<std::uint64_t> stack) {
  Reader reader(bytes, 0);
  auto pop = [&] {
    if (stack.empty()) throw Unreadable{};
    const std::uint64_t top = stack.back();
    stack.pop_back();
    return top;
  };
  while (!reader.at_end()) {
    const auto op = reader.fixed<std::uint8_t>();
    if (op >= 0x30 && op <= 0x4F) {
      stack.push_back(op - 0x30U);
      continue;
    }
    if (op >= 0x70 && op <= 0x80) {
      if (!registers.known[op - 0x70U]) throw Unreadable{};
      stack.push_back(registers.value[op - 0x70U] + static_cast<std::uint64_t>(reader.sleb()));
      continue;
    }
    switch (op) {
      case 0x06: {
        const auto value = memory.value<std::uint64_t>(pop());
        if (!value) throw Unreadable{};
        stack.push_back(*value);
        break;
      }
      case 0x08:
        stack.push_back(reader.fixed<std::uint8_t>());
        break;
      case 0x09:
        stack.push_back(static_cast<std::uint64_t>(std::int64_t{reader.fixed<std::int8_t>()}));
        break;
      case 0x0A:
        stack.push_back(reader.fixed<std::uint16_t>());
        break;
      case 0x12:
        stack.push_back(pop());
        stack.push_back(stack.back());
        break;
      case 0x1A: {
        const auto b = pop();
        const auto a = pop();
        stack.push_back(a & b);
        break;
      }
      case 0x1C: {
        const auto b = pop();
        const auto a = pop();
        stack.push_back(a - b);
        break;
      }
      case 0x22: {
        const auto b = pop();
        const auto a = pop();
        stack.push_back(a + b);
        break;
      }
      case 0x23: {
        const auto a = pop();
        stack.push_back(a + reader.uleb());
        break;
      }
      case 0x24: {
        const auto b = pop();
        const auto a = pop();
        stack.push_back(b < 64 ? a << b : 0);
        break;
      }
      case 0x2A: {
        const auto b = static_cast<std::int64_t>(pop());
        const auto a = static_cast<std::int64_t>(pop());
        stack.push_back(a >= b ? 1 : 0);
        break;
      }
      default:
        throw Unreadable{};
    }
  }
  return pop();
}

/// The caller's registers; none at the outermost frame.
std::optional<FrameRegisters> caller_of(const Row& row, const TargetMemory& memory,
                                        const FrameRegisters& now) {
  using Kind = Rule::Kind;
  if (row.rules[FrameRegisters::kReturn].kind == Kind::kUndefined) return std::nullopt;
  std::uint64_t frame = 0;
  if (!row.frame_expression.empty()) {
    frame = evaluate(row.frame_expression, memory, now, {});
  } else {
    if (row.frame_register >= now.value.size() || !now.known[row.frame_register]) throw Unreadable{};
    frame = now.value[row.frame_register] + static_cast<std::uint64_t>(row.frame_offset);
  }
  FrameRegisters caller;
  auto at = [&](std::uint64_t address) {
    const auto value = memory.value<std::uint64_t>(address);
    if (!value) throw Unreadable{};
    return *value;
  };
  for (std::size_t number = 0; number < caller.value.size(); ++number) {
    const Rule& rule = row.rules[number];
    caller.known[number] = true;
    switch (rule.kind) {
      case Kind::kUndefined:
        caller.known[number] = false;
        break;
      case Kind::kSame:
        if (number == FrameRegisters::kReturn) throw Unreadable{};
        caller.known[number] = now.known[number];
        caller.value[number] = number == FrameRegisters::kStack ? frame : now.value[number];
        break;
      case Kind::kAt:
        caller.value[number] = at(frame + static_cast<std::uint64_t>(rule.offset));
        break;
      case Kind::kIs:
        caller.value[number] = frame + static_cast<std::uint64_t>(rule.offset);
        break;
      case Kind::kRegister: {
        const auto other = static_cast<std::size_t>(rule.offset);
        if (other >= now.value.size() || !now.known[other]) throw Unreadable{};
        caller.value[number] = now.value[other];
        break;
      }
      case Kind::kAtExpression:
        caller.value[number] = at(evaluate(rule.expression, memory, now, {frame}));
        break;
      case Kind::kIsExpression:
        caller.value[number] = evaluate(rule.expression, memory, now, {frame});
        break;
    }
  }
  if (row.rules[FrameRegisters::kStack].kind == Kind::kSame) caller.known[FrameRegisters::kStack] = true;
  return caller;
}

}  // namespace

std::optional<FunctionFrame> frame_at(const Module& module, const TargetMemory& memory,
                                      std::uint64_t address) try {
  if (module.frame_header == 0) return std::nullopt;
  const std::vector<std::uint8_t> start = memory.bytes(module.frame_header, 64);
  Reader header(start, module.frame_header);
  if (header.fixed<std::uint8_t>() != 1) return std::nullopt;
  const auto frame_encoding = header.fixed<std::uint8_t>();
  const auto count_encoding = header.fixed<std::uint8_t>();
  // A sorted table of (function, description), each 4 bytes relative to the header: what all linkers write.
  if (header.fixed<std::uint8_t>() != 0x3B || count_encoding == 0xFF) return std::nullopt;
  header.encoded(frame_encoding, module.frame_header);
  std::uint64_t count = header.encoded(count_encoding, module.frame_header);
  const std::uint64_t table = header.address();
  struct Entry {
    std::int32_t function, description;
  };
  auto entry_at = [&](std::uint64_t index) {
    const auto entry = memory.value<Entry>(table + index * sizeof(Entry));
    if (!entry) throw Unreadable{};
    return *entry;
  };
  auto absolute = [&](std::int32_t offset) {
    return module.frame_header + static_cast<std::uint64_t>(std::int64_t{offset});
  };
  std::uint64_t below = 0;  // entries that begin at or before the address
  while (count > 0) {
    const std::uint64_t half = count / 2;
    if (absolute(entry_at(below + half).function) <= address) {
      below += half + 1;
      count -= half + 1;
    } else {
      count = half;
    }
  }
  if (below == 0) return std::nullopt;
  FunctionFrame frame;
  frame.description = absolute(entry_at(below - 1).description);
  frame.code = read_description(memory, frame.description).code;
  return frame.code.contains(address) ? std::optional(frame) : std::nullopt;
} catch (const Unreadable&) {
  return std::nullopt;
}

CallChain call_chain(const std::vector<Module>& modules, const TargetMemory& memory,
                     FrameRegisters registers) {
  CallChain chain;
  bool exact = true;  // a program counter, not a return address
  try {
    while (chain.addresses.size() < kMostFrames) {
      const std::uint64_t counter = registers.value[FrameRegisters::kReturn];
      if (counter == 0) {
        chain.complete = true;
        break;
      }
      const std::uint64_t inside = exact ? counter : counter - 1;
      const Module* module = module_at(modules, inside);
      if (module == nullptr) break;
      const auto frame = frame_at(*module, memory, inside);
      if (!frame) break;
      chain.addresses.push_back(inside);
      const Description description = read_description(memory, frame->description);
      Row row;
      Program(description.common, 0, ~std::uint64_t{0}).run(description.common.program, row);
      Program program(description.common, frame->code.begin, inside);
      program.set_initial(row);
      program.run(description.program, row);
      // A signal frame's caller was interrupted: its address is where it will go on.
      exact = description.common.signal_frame;
      const std::uint64_t stack = registers.value[FrameRegisters::kStack];
      const auto caller = caller_of(row, memory, registers);
      if (!caller) {
        chain.complete = true;
        break;
      }
      registers = *caller;
      // Equal: a trampoline of Calltap's keeps nothing on the stack. kMostFrames ends a circle.
      if (!exact && registers.value[FrameRegisters::kStack] < stack) break;
    }
  } catch (const Unreadable&) {
    // What is there so far is right, and not complete.
  }
  return chain;
}

}  // namespace calltap::inject
