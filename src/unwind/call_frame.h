// From a function's registers to its caller's, by the function's unwind table (.eh_frame: DWARF 5 section 6.4
// and the Linux Standard Base). For the in-target library, which walks the stack of its own thread inside a
// hooked call, and for the tool, which walks those of another process: neither where the tables come from nor
// how memory is read is known here.
//
// Tables and memory may hold anything: what is malformed, not known, or too much work is an error, and
// nothing is read but what it was given. No heap, little stack, any thread or signal context.
#pragma once

#include <cstdint>
#include <span>

#include "isa/native.h"
#include "unwind/byte_cursor.h"

namespace calltap::unwind {

inline constexpr unsigned kColumns = isa::native::kUnwindColumns;
inline constexpr unsigned kStackColumn = isa::native::kStackColumn;

/// By DWARF numbers.
struct Registers {
  std::uint64_t value[kColumns] = {};
  std::uint64_t known = 0;    // a bit a register
  std::uint64_t counter = 0;  // where it is, or will go on

  [[nodiscard]] bool knows(std::uint64_t n) const { return n < kColumns && (known >> n & 1) != 0; }
  void set(unsigned n, std::uint64_t to) {
    value[n] = to;
    known |= std::uint64_t{1} << n;
  }
};
static_assert(kColumns <= 64);

/// Reads at most 8 bytes; false where there is no memory.
struct Memory {
  bool (*read)(void* context, std::uint64_t address, void* to, std::size_t bytes);
  void* context;
};

/// A CIE or FDE without its length, which lies at `address`.
struct Entry {
  std::span<const std::uint8_t> bytes;
  std::uint64_t address = 0;
};

/// What a CIE and an FDE say of a function.
struct Description {
  std::uint64_t begin = 0;  // of its code
  std::uint64_t end = 0;
  std::uint64_t code_factor = 1;
  std::int64_t data_factor = 1;
  std::uint64_t return_column = 0;
  std::uint8_t pointer_encoding = 0;
  bool is_signal_frame = false;
  ByteCursor common_program;
  ByteCursor program;
};
/// Where the CIE of an FDE is; 0 if the entry is none.
std::uint64_t common_entry_of(const Entry& function);
/// False: malformed, or of a kind that is not known.
bool read_description(const Entry& common, const Entry& function, Description& description);

/// Where a register of the caller is. An expression is the bytes of the table.
struct Rule {
  enum Kind : std::uint8_t { kSame, kUndefined, kAt, kIs, kRegister, kAtExpression, kIsExpression };
  Kind kind = kSame;
  std::uint32_t expression_bytes = 0;
  union {
    std::int64_t offset = 0;  // from the frame's address; or a register's number
    const std::uint8_t* expression;
  };
};

struct Row {
  std::uint64_t frame_register = kStackColumn;
  std::int64_t frame_offset = 0;
  const std::uint8_t* frame_expression = nullptr;
  std::uint64_t frame_expression_bytes = 0;
  Rule rules[kColumns];
};

/// What finding the caller needs of memory: some KiB, which need not be on the stack. `work` is what may
/// still be done, in steps of programs and expressions.
struct Space {
  static constexpr std::size_t kMostRemembered = 8;
  static constexpr std::size_t kMostOperands = 32;

  std::uint32_t work = 0;
  Row row;
  Row initial;
  Row remembered[kMostRemembered];
  std::uint64_t operands[kMostOperands];
  Registers caller;
};

enum class Step : std::uint8_t {
  kCaller,      // the registers are the caller's now
  kOutermost,   // the table says that there is none
  kUnreadable,  // they are what they were
};
/// `inside` is an address within the call that the function is at: the counter, or what is before it if that
/// is a return address.
Step step_out(const Description& description, std::uint64_t inside, const Memory& memory, Space& space,
              Registers& registers);

/// A DWARF expression over registers and memory, begun with `first` on its stack if there is one. False: as
/// above.
bool evaluate(ByteCursor expression, const Memory& memory, const Registers& registers,
              const std::uint64_t* first, Space& space, std::uint64_t& result);

}  // namespace calltap::unwind
