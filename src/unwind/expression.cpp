// DWARF 5 section 2.5, as far as it can occur in call frame information.
#include "unwind/call_frame.h"

namespace calltap::unwind {
namespace {

class Evaluation {
 public:
  Evaluation(ByteCursor expression, const Memory& memory, const Registers& registers, Space& space)
      : code_(expression), start_(expression), memory_(memory), registers_(registers), space_(space) {}

  bool run(const std::uint64_t* first, std::uint64_t& result) {
    if (first != nullptr) push(*first);
    while (ok_ && code_.ok() && !code_.at_end()) {
      if (space_.work == 0) return false;
      --space_.work;
      step(code_.fixed<std::uint8_t>());
    }
    if (!code_.ok()) return false;
    result = pop();
    return ok_;
  }

 private:
  void push(std::uint64_t value) {
    if (depth_ == Space::kMostOperands) return fail();
    space_.operands[depth_++] = value;
  }
  std::uint64_t pop() {
    if (depth_ == 0) {
      fail();
      return 0;
    }
    return space_.operands[--depth_];
  }
  std::uint64_t pick(std::size_t n) {
    if (n >= depth_) {
      fail();
      return 0;
    }
    return space_.operands[depth_ - 1 - n];
  }
  void fail() { ok_ = false; }

  void push_register(std::uint64_t number, std::int64_t offset) {
    if (!registers_.knows(number)) return fail();
    push(registers_.value[number] + static_cast<std::uint64_t>(offset));
  }

  void load(std::size_t bytes) {
    std::uint64_t value = 0;
    const std::uint64_t address = pop();
    if (bytes == 0 || bytes > sizeof value || !ok_ || !memory_.read(memory_.context, address, &value, bytes))
      return fail();
    push(value);
  }

  void jump(std::int16_t distance) {
    const std::uint64_t done = start_.bytes_left() - code_.bytes_left();
    const std::uint64_t to = done + static_cast<std::uint64_t>(std::int64_t{distance});
    if (to > start_.bytes_left()) return fail();
    code_ = start_;
    code_.block(to);
  }

  void step(std::uint8_t op) {
    if (op >= 0x30 && op <= 0x4F) return push(op - 0x30U);                         // lit
    if (op >= 0x70 && op <= 0x8F) return push_register(op - 0x70U, code_.sleb());  // breg
    if (op >= 0x08 && op <= 0x11) return push(constant(op));
    if ((op >= 0x1A && op <= 0x1E) || (op >= 0x21 && op <= 0x22) || (op >= 0x24 && op <= 0x27) ||
        (op >= 0x29 && op <= 0x2E)) {
      const std::uint64_t b = pop();
      const std::uint64_t a = pop();
      return push(binary(op, a, b));
    }
    other(op);
  }

  std::uint64_t constant(std::uint8_t op) {
    switch (op) {
      case 0x08:
        return code_.fixed<std::uint8_t>();
      case 0x09:
        return static_cast<std::uint64_t>(std::int64_t{code_.fixed<std::int8_t>()});
      case 0x0A:
        return code_.fixed<std::uint16_t>();
      case 0x0B:
        return static_cast<std::uint64_t>(std::int64_t{code_.fixed<std::int16_t>()});
      case 0x0C:
        return code_.fixed<std::uint32_t>();
      case 0x0D:
        return static_cast<std::uint64_t>(std::int64_t{code_.fixed<std::int32_t>()});
      case 0x10:
        return code_.uleb();
      case 0x11:
        return static_cast<std::uint64_t>(code_.sleb());
      default:
        return code_.fixed<std::uint64_t>();
    }
  }

  std::uint64_t binary(std::uint8_t op, std::uint64_t a, std::uint64_t b) {
    const auto x = static_cast<std::int64_t>(a);
    const auto y = static_cast<std::int64_t>(b);
    switch (op) {
      case 0x1A:
        return a & b;
      case 0x1B:  // signed; neither what has no result nor what overflows
        if (y == 0 || y == -1) return y == 0 ? (fail(), 0) : 0 - a;
        return static_cast<std::uint64_t>(x / y);
      case 0x1C:
        return a - b;
      case 0x1D:
        return b == 0 ? (fail(), 0) : a % b;
      case 0x1E:
        return a * b;
      case 0x21:
        return a | b;
      case 0x22:
        return a + b;
      case 0x24:
        return b < 64 ? a << b : 0;
      case 0x25:
        return b < 64 ? a >> b : 0;
      case 0x26:
        return static_cast<std::uint64_t>(x >> (b < 64 ? b : 63));
      case 0x27:
        return a ^ b;
      case 0x29:
        return x == y ? 1 : 0;
      case 0x2A:
        return x >= y ? 1 : 0;
      case 0x2B:
        return x > y ? 1 : 0;
      case 0x2C:
        return x <= y ? 1 : 0;
      case 0x2D:
        return x < y ? 1 : 0;
      default:
        return x != y ? 1 : 0;
    }
  }

  void other(std::uint8_t op) {
    std::uint64_t a = 0;
    std::uint64_t b = 0;
    std::uint64_t c = 0;
    switch (op) {
      case 0x03:  // addr
        return push(code_.fixed<std::uint64_t>());
      case 0x06:
        return load(sizeof(std::uint64_t));
      case 0x94:
        return load(code_.fixed<std::uint8_t>());
      case 0x12:  // dup
        return push(pick(0));
      case 0x13:  // drop
        pop();
        return;
      case 0x14:  // over
        return push(pick(1));
      case 0x15:
        return push(pick(code_.fixed<std::uint8_t>()));
      case 0x16:  // swap
        b = pop();
        a = pop();
        push(b);
        return push(a);
      case 0x17:  // rot
        c = pop();
        b = pop();
        a = pop();
        push(c);
        push(a);
        return push(b);
      case 0x19:  // abs
        a = pop();
        return push(static_cast<std::int64_t>(a) < 0 ? 0 - a : a);
      case 0x1F:  // neg
        return push(0 - pop());
      case 0x20:
        return push(~pop());
      case 0x23:
        a = pop();
        return push(a + code_.uleb());
      case 0x28: {  // bra
        const auto distance = code_.fixed<std::int16_t>();
        if (pop() != 0) jump(distance);
        return;
      }
      case 0x2F:  // skip
        return jump(code_.fixed<std::int16_t>());
      case 0x92:  // bregx
        a = code_.uleb();
        return push_register(a, code_.sleb());
      case 0x96:  // nop
        return;
      default:
        return fail();
    }
  }

  ByteCursor code_;
  const ByteCursor start_;
  const Memory& memory_;
  const Registers& registers_;
  Space& space_;
  std::size_t depth_ = 0;
  bool ok_ = true;
};

}  // namespace

bool evaluate(ByteCursor expression, const Memory& memory, const Registers& registers,
              const std::uint64_t* first, Space& space, std::uint64_t& result) {
  return Evaluation(expression, memory, registers, space).run(first, result);
}

}  // namespace calltap::unwind
