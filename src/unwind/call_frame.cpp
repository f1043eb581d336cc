#include "unwind/call_frame.h"

namespace calltap::unwind {
namespace {

/// Runs call frame instructions up to the one that is of code behind `inside`, into the space's row.
class Program {
 public:
  Program(const Description& description, std::uint64_t inside, Space& space)
      : description_(description), location_(description.begin), inside_(inside), space_(space) {}

  bool run(ByteCursor program) {
    code_ = program;
    while (ok_ && code_.ok() && !code_.at_end() && location_ <= inside_) {
      if (space_.work == 0) return false;
      --space_.work;
      step();
    }
    return ok_ && code_.ok();
  }

 private:
  void set(std::uint64_t number, Rule rule) {
    if (number < kColumns) space_.row.rules[number] = rule;  // others are vector registers
  }
  void set(std::uint64_t number, Rule::Kind kind, std::int64_t offset = 0) {
    Rule rule;
    rule.kind = kind;
    rule.offset = offset;
    set(number, rule);
  }
  void restore(std::uint64_t number) {
    if (number < kColumns) set(number, space_.initial.rules[number]);
  }
  std::int64_t factored() {
    return static_cast<std::int64_t>(code_.uleb() * static_cast<std::uint64_t>(description_.data_factor));
  }
  std::int64_t factored_signed() {
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(code_.sleb()) *
                                     static_cast<std::uint64_t>(description_.data_factor));
  }
  std::uint64_t expression(const std::uint8_t*& bytes) {
    const std::uint64_t size = code_.uleb();
    ByteCursor block = code_.block(size);
    bytes = block.here();
    return block.bytes_left();
  }
  void set_expression(Rule::Kind kind) {
    const std::uint64_t number = code_.uleb();
    Rule rule;
    rule.kind = kind;
    const std::uint8_t* bytes = nullptr;
    rule.expression_bytes = static_cast<std::uint32_t>(expression(bytes));
    rule.expression = bytes;
    set(number, rule);
  }
  void define_frame(std::uint64_t number, std::int64_t offset) {
    space_.row.frame_register = number;
    space_.row.frame_offset = offset;
    space_.row.frame_expression = nullptr;
  }

  void step() {
    const auto op = code_.fixed<std::uint8_t>();
    const std::uint64_t low = op & 0x3F;
    switch (op & 0xC0) {
      case 0x40:
        location_ += low * description_.code_factor;
        return;
      case 0x80:
        return set(low, Rule::kAt, factored());
      case 0xC0:
        return restore(low);
      default:
        return op < 0x0A ? locate_or_set(op) : op < 0x14 ? frame_or_state(op) : rare(op);
    }
  }

  void locate_or_set(std::uint8_t op) {
    std::uint64_t number = 0;
    switch (op) {
      case 0x00:  // nop
        return;
      case 0x01:
        location_ = code_.encoded(description_.pointer_encoding, 0);
        return;
      case 0x02:
        location_ += code_.fixed<std::uint8_t>() * description_.code_factor;
        return;
      case 0x03:
        location_ += code_.fixed<std::uint16_t>() * description_.code_factor;
        return;
      case 0x04:
        location_ += code_.fixed<std::uint32_t>() * description_.code_factor;
        return;
      case 0x05:
        number = code_.uleb();
        return set(number, Rule::kAt, factored());
      case 0x06:
        return restore(code_.uleb());
      case 0x07:
        return set(code_.uleb(), Rule::kUndefined);
      case 0x08:
        return set(code_.uleb(), Rule::kSame);
      default:
        number = code_.uleb();
        return set(number, Rule::kRegister, static_cast<std::int64_t>(code_.uleb()));
    }
  }

  void frame_or_state(std::uint8_t op) {
    std::uint64_t number = 0;
    switch (op) {
      case 0x0A:
        if (remembered_ == Space::kMostRemembered) return fail();
        space_.remembered[remembered_++] = space_.row;
        return;
      case 0x0B:
        if (remembered_ == 0) return fail();
        space_.row = space_.remembered[--remembered_];
        return;
      case 0x0C:
        number = code_.uleb();
        return define_frame(number, static_cast<std::int64_t>(code_.uleb()));
      case 0x0D:
        space_.row.frame_register = code_.uleb();
        return;
      case 0x0E:
        space_.row.frame_offset = static_cast<std::int64_t>(code_.uleb());
        return;
      case 0x0F:
        space_.row.frame_expression_bytes = expression(space_.row.frame_expression);
        return;
      case 0x10:
        return set_expression(Rule::kAtExpression);
      case 0x11:
        number = code_.uleb();
        return set(number, Rule::kAt, factored_signed());
      case 0x12:
        number = code_.uleb();
        return define_frame(number, factored_signed());
      default:
        space_.row.frame_offset = factored_signed();
    }
  }

  void rare(std::uint8_t op) {
    std::uint64_t number = 0;
    switch (op) {
      case 0x14:
        number = code_.uleb();
        return set(number, Rule::kIs, factored());
      case 0x15:
        number = code_.uleb();
        return set(number, Rule::kIs, factored_signed());
      case 0x16:
        return set_expression(Rule::kIsExpression);
      case 0x2D:  // AArch64: from here on the return address is signed, or no longer. All are stripped.
        return isa::native::kSignsReturnAddresses ? void() : fail();
      case 0x2E:  // size of the arguments on the stack
        code_.uleb();
        return;
      case 0x2F:  // the old way to say a negative offset
        number = code_.uleb();
        return set(number, Rule::kAt, static_cast<std::int64_t>(0 - static_cast<std::uint64_t>(factored())));
      default:
        return fail();
    }
  }

  void fail() { ok_ = false; }

  const Description& description_;
  std::uint64_t location_;
  const std::uint64_t inside_;
  Space& space_;
  ByteCursor code_;
  std::size_t remembered_ = 0;
  bool ok_ = true;
};

/// Applies the space's row to the registers.
class Caller {
 public:
  Caller(const Memory& memory, Space& space, const Registers& now)
      : memory_(memory), space_(space), now_(now) {}

  bool find() {
    if (!find_frame()) return false;
    space_.caller = now_;
    for (unsigned number = 0; number < kColumns; ++number) {
      if (space_.row.rules[number].kind != Rule::kSame && !restore(number)) return false;
    }
    if (space_.row.rules[kStackColumn].kind == Rule::kSame) space_.caller.set(kStackColumn, frame_);
    return true;
  }

 private:
  bool find_frame() {
    const Row& row = space_.row;
    if (row.frame_expression != nullptr)
      return value_of(row.frame_expression, row.frame_expression_bytes, nullptr, frame_);
    if (!now_.knows(row.frame_register)) return false;
    frame_ = now_.value[row.frame_register] + static_cast<std::uint64_t>(row.frame_offset);
    return true;
  }

  bool value_of(const std::uint8_t* bytes, std::size_t size, const std::uint64_t* first,
                std::uint64_t& value) {
    return evaluate(ByteCursor({bytes, size}, 0), memory_, now_, first, space_, value);
  }

  bool restore(unsigned number) {
    const Rule& rule = space_.row.rules[number];
    std::uint64_t value = 0;
    bool in_memory = false;
    switch (rule.kind) {
      case Rule::kUndefined:
        space_.caller.known &= ~(std::uint64_t{1} << number);
        return true;
      case Rule::kAt:
        in_memory = true;
        value = frame_ + static_cast<std::uint64_t>(rule.offset);
        break;
      case Rule::kRegister:
        if (!now_.knows(static_cast<std::uint64_t>(rule.offset))) return false;
        value = now_.value[rule.offset];
        break;
      case Rule::kAtExpression:
      case Rule::kIsExpression:
        in_memory = rule.kind == Rule::kAtExpression;
        if (!value_of(rule.expression, rule.expression_bytes, &frame_, value)) return false;
        break;
      default:
        value = frame_ + static_cast<std::uint64_t>(rule.offset);
    }
    if (in_memory && !memory_.read(memory_.context, value, &value, sizeof value)) return false;
    space_.caller.set(number, value);
    return true;
  }

  const Memory& memory_;
  Space& space_;
  const Registers& now_;
  std::uint64_t frame_ = 0;
};

bool read_common(const Entry& entry, Description& out) {
  ByteCursor cursor(entry.bytes, entry.address);
  if (cursor.fixed<std::uint32_t>() != 0) return false;
  const auto version = cursor.fixed<std::uint8_t>();
  ByteCursor letters = cursor;
  bool augmented = false;
  for (std::uint8_t n = 0;; ++n) {
    const auto letter = cursor.fixed<char>();
    if (letter == '\0') break;
    if (n == 0 && letter != 'z') return false;
    augmented = true;
  }
  out.code_factor = cursor.uleb();
  out.data_factor = cursor.sleb();
  out.return_column = version == 1 ? cursor.fixed<std::uint8_t>() : cursor.uleb();
  if (augmented) {
    ByteCursor data = cursor.block(cursor.uleb());
    letters.fixed<char>();
    for (char letter = letters.fixed<char>(); letter != '\0'; letter = letters.fixed<char>()) {
      if (letter == 'R') out.pointer_encoding = data.fixed<std::uint8_t>();
      if (letter == 'L') data.fixed<std::uint8_t>();
      if (letter == 'P') data.encoded(data.fixed<std::uint8_t>() & 0x0F, 0);
      if (letter == 'S') out.is_signal_frame = true;
    }
    if (!data.ok()) return false;
  }
  out.common_program = cursor.rest();
  return cursor.ok();
}

/// True if the table has been applied; the outermost frame is found by its row.
bool apply(const Description& description, std::uint64_t inside, const Memory& memory, Space& space,
           const Registers& registers, bool& is_outermost) {
  space.row = Row{};
  space.initial = space.row;
  Program common(description, ~std::uint64_t{0}, space);
  if (!common.run(description.common_program)) return false;
  space.initial = space.row;
  Program function(description, inside, space);
  if (!function.run(description.program)) return false;
  const Rule::Kind return_rule = space.row.rules[description.return_column].kind;
  if (return_rule == Rule::kSame && !isa::native::kHasLinkRegister) return false;
  is_outermost = return_rule == Rule::kUndefined;
  return is_outermost || Caller(memory, space, registers).find();
}

}  // namespace

std::uint64_t common_entry_of(const Entry& function) {
  ByteCursor cursor(function.bytes, function.address);
  const auto back = cursor.fixed<std::uint32_t>();
  return back == 0 || back > function.address ? 0 : function.address - back;
}

bool read_description(const Entry& common, const Entry& function, Description& description) {
  description = {};
  if (!read_common(common, description) || description.return_column >= kColumns) return false;
  ByteCursor cursor(function.bytes, function.address);
  cursor.fixed<std::uint32_t>();
  const std::uint8_t encoding = description.pointer_encoding;
  description.begin = cursor.encoded(encoding, 0);
  description.end = description.begin + cursor.encoded(encoding & 0x0F, 0);
  const bool augmented = common.bytes.size() > 5 && common.bytes[5] != 0;
  if (augmented) cursor.block(cursor.uleb());
  description.program = cursor.rest();
  return cursor.ok();
}

Step step_out(const Description& description, std::uint64_t inside, const Memory& memory, Space& space,
              Registers& registers) {
  bool is_outermost = false;
  if (!apply(description, inside, memory, space, registers, is_outermost)) return Step::kUnreadable;
  if (is_outermost) return Step::kOutermost;
  const auto column = static_cast<unsigned>(description.return_column);
  if (!space.caller.knows(column)) return Step::kUnreadable;
  registers = space.caller;
  registers.counter = isa::native::strip_signature(registers.value[column]);
  return Step::kCaller;
}

}  // namespace calltap::unwind
