// Draws every encoder's output and every state of every sled form, bytes beside the disassembly of LLVM, and
// compares the drawing with the file that a person has read.
#include <gtest/gtest.h>

#include <vector>

#include "drawing.h"
#include "golden_file.h"
#include "isa/riscv64/encode.h"
#include "isa/riscv64/sled_forms.h"

namespace calltap::isa::riscv64 {
namespace {

using base::TargetAddress;
using Bytes = std::vector<std::uint8_t>;

class RiscV64Golden : public testing::Test {
 protected:
  void SetUp() override {
    if (!llvm_.available()) GTEST_SKIP() << llvm_.why();
  }
  test::LlvmDisassembler llvm_{test::LlvmDisassembler::Machine::kRiscV64};
};

TEST_F(RiscV64Golden, Encoders) {
  const TargetAddress at(0x7f0000001000);
  std::string drawing;
  const auto draw = [&](const std::string& what, std::span<const std::uint8_t> code) {
    drawing += what + '\n' + test::lines(llvm_, code, at.value) + '\n';
  };
  draw("c_nop", c_nop());
  draw("nop", nop());
  draw("c_ebreak", c_ebreak());
  draw("c_jr", c_jr(Register::kT1));
  draw("jr", jr(Register::kT1));
  draw("c_j, farthest forwards", *c_j(at, at + 2046));
  draw("c_j, farthest backwards", *c_j(at, at - 2048));
  draw("jal, farthest forwards", *jal(at, Register::kZero, at + ((1 << 20) - 2)));
  draw("jal, farthest backwards", *jal(at, Register::kZero, at - (1 << 20)));
  draw("jal, linked", *jal(at, Register::kT0, at + 0x1234));
  draw("auipc, low part positive", *auipc(at, Register::kT0, at + 0x12347ff));
  draw("auipc, low part negative", *auipc(at, Register::kT0, at + 0x1234800));
  draw("auipc, backwards", *auipc(at, Register::kT0, at - 0x1234000));
  draw("addi", *addi(Register::kT0, Register::kT0, -8));
  draw("ld", *ld(Register::kT1, Register::kT0, 24));
  draw("jalr", *jalr(Register::kT0, Register::kT0, -2048));
  draw("far_jump, farthest forwards", *far_jump(at, at + 0x7ffff7fe));
  draw("far_jump, farthest backwards", *far_jump(at, at - 0x80000800));
  draw("far_call", *far_call(at, at + 0x12345678));
  draw("stub", *stub(at, at + 0x123ff8, 0x18));
  const auto far = *island(at, TargetAddress(0x123456789abc));
  drawing += "island\n" + test::lines(llvm_, std::span(far).first(kIslandLiteral), at.value) +
             test::literal_line(std::span(far).subspan(kIslandLiteral), at.value + kIslandLiteral);
  test::compare_with_file(drawing, "riscv64/encoders.txt");
}

/// A site with its pad, as a compiler leaves it, and what becomes of it.
class Scene {
 public:
  Scene(const test::LlvmDisassembler& llvm, SledForm form, unsigned nop_bytes, unsigned pad_nops,
        unsigned entry_nops)
      : llvm_(llvm), form_(form), nop_bytes_(nop_bytes) {
    for (unsigned i = 0; i < pad_nops; ++i) append_nop(pad_);
    for (unsigned i = 0; i < entry_nops; ++i) append_nop(entry_);
  }

  std::string draw(const std::string& what) {
    std::string drawing = "== " + what + " ==\n\n" + state();
    switch (form_) {
      case SledForm::kJump: {
        const TargetAddress pad_jump = kEntry - static_cast<std::int64_t>(pad_.size());
        put(pad_, 0, *far_jump(pad_jump, kStub));
        drawing += state(", the pad prepared");
        if (nop_bytes_ == kCompressedBytes) put(entry_, 0, *c_j(kEntry, pad_jump));
        if (nop_bytes_ == kInstructionBytes) put(entry_, 0, *jal(kEntry, Register::kZero, pad_jump));
        break;
      }
      case SledForm::kCall:
        pad_is_literal_ = true;
        put(pad_, pad_.size() - kLiteralBytes, literal(0x555555123450));
        [[fallthrough]];
      default: {
        const auto far = form_ == SledForm::kCall ? *far_call(kEntry, kStub) : *far_jump(kEntry, kStub);
        put(entry_, 0, std::span(far).first(kInstructionBytes));
        put(entry_, kInstructionBytes, nop());
        drawing += state();
        put(entry_, 0, far);
      }
    }
    return drawing + state() + '\n';
  }

 private:
  void append_nop(Bytes& bytes) const {
    const Compressed compressed = c_nop();
    const Instruction whole = nop();
    if (nop_bytes_ == kCompressedBytes) bytes.insert(bytes.end(), compressed.begin(), compressed.end());
    if (nop_bytes_ == kInstructionBytes) bytes.insert(bytes.end(), whole.begin(), whole.end());
  }
  static void put(Bytes& bytes, std::size_t offset, std::span<const std::uint8_t> code) {
    std::copy(code.begin(), code.end(), bytes.begin() + static_cast<std::ptrdiff_t>(offset));
  }

  [[nodiscard]] std::string state(const char* what_else = "") const {
    constexpr const char* kStates[] = {"foreign", "off", "prepared", "on"};
    const SledState state = state_of(*find_sled(form_, nop_bytes_), entry_);
    std::string drawing = std::string(kStates[static_cast<std::size_t>(state)]) + what_else + '\n';
    const std::uint64_t pad = kEntry.value - pad_.size();
    const std::size_t nops = pad_is_literal_ ? pad_.size() - kLiteralBytes : pad_.size();
    drawing += test::lines(llvm_, std::span(pad_).first(nops), pad);
    if (pad_is_literal_) drawing += test::literal_line(std::span(pad_).subspan(nops), pad + nops);
    return drawing + "  entry:\n" + test::lines(llvm_, entry_, kEntry.value);
  }

  static constexpr TargetAddress kEntry{0x555555580010};
  static constexpr TargetAddress kStub{0x555554000000};
  const test::LlvmDisassembler& llvm_;
  SledForm form_;
  unsigned nop_bytes_;
  bool pad_is_literal_ = false;
  Bytes pad_, entry_;
};

TEST_F(RiscV64Golden, SledForms) {
  std::string drawing;
  drawing += Scene(llvm_, SledForm::kJump, 2, 8, 1).draw("=9,8, a jump");
  drawing += Scene(llvm_, SledForm::kJump, 4, 8, 1).draw("=9,8 without C, a jump");
  drawing += Scene(llvm_, SledForm::kJump, 2, 4, 4).draw("=8,4, a jump");
  drawing += Scene(llvm_, SledForm::kFarJump, 2, 0, 4).draw("=4, a far jump");
  drawing += Scene(llvm_, SledForm::kFarJump, 4, 0, 2).draw("=2 without C, a far jump");
  drawing += Scene(llvm_, SledForm::kCall, 2, 4, 4).draw("=8,4, a call");
  drawing += Scene(llvm_, SledForm::kCall, 4, 2, 2).draw("=4,2 without C, a call");
  test::compare_with_file(drawing, "riscv64/sled_forms.txt");
}

}  // namespace
}  // namespace calltap::isa::riscv64
