// Draws every encoder's output and every state of every sled form, bytes beside the disassembly of LLVM, and
// compares the drawing with the file that a person has read.
#include <gtest/gtest.h>

#include <vector>

#include "drawing.h"
#include "golden_file.h"
#include "isa/aarch64/encode.h"
#include "isa/aarch64/sled_forms.h"

namespace calltap::isa::aarch64 {
namespace {

using base::TargetAddress;
using Bytes = std::vector<std::uint8_t>;

class AArch64Golden : public testing::Test {
 protected:
  void SetUp() override {
    if (!llvm_.available()) GTEST_SKIP() << llvm_.why();
  }
  test::LlvmDisassembler llvm_{test::LlvmDisassembler::Machine::kAArch64};
};

TEST_F(AArch64Golden, Encoders) {
  const TargetAddress at(0x7f0000001000);
  std::string drawing;
  const auto draw = [&](const std::string& what, std::span<const std::uint8_t> code) {
    drawing += what + '\n' + test::lines(llvm_, code, at.value) + '\n';
  };
  draw("nop", nop());
  draw("bti", bti(Landing::kNone));
  draw("bti, calls", bti(Landing::kCall));
  draw("bti, jumps", bti(Landing::kJump));
  draw("bti, both", bti(Landing::kBoth));
  draw("mov", mov(Register::kX9, Register::kLink));
  draw("br", br(Register::kX16));
  draw("blr", blr(Register::kX17));
  draw("ret", ret());
  draw("b, farthest forwards", *b(at, at + ((1 << 27) - 4)));
  draw("b, farthest backwards", *b(at, at - (1 << 27)));
  draw("bl, forwards", *bl(at, at + 0x1234));
  draw("bl, backwards", *bl(at, at - 0x1234));
  draw("adr, farthest forwards", *adr(at, Register::kX17, at + ((1 << 20) - 1)));
  draw("adr, farthest backwards", *adr(at, Register::kX17, at - (1 << 20)));
  draw("adrp_add, forwards", *adrp_add(at, Register::kX17, at + 0x12345678));
  draw("adrp_add, backwards", *adrp_add(at, Register::kX17, at - 0x12345678));
  draw("ldr_literal, forwards", *ldr_literal(at, Register::kX16, at + 0x1238));
  draw("ldr_literal, backwards", *ldr_literal(at, Register::kX16, at - 0x1238));
  draw("ldr", *ldr(Register::kX16, Register::kX17, 0));
  draw("ldr, farthest", *ldr(Register::kX16, Register::kX17, 32760));
  draw("stub", *stub(at, at + 0x123458, 0x18));
  const auto far = *island(at, TargetAddress(0x123456789abc));
  drawing += "island\n" + test::lines(llvm_, std::span(far).first(kIslandLiteral), at.value) +
             test::literal_line(std::span(far).subspan(kIslandLiteral), at.value + kIslandLiteral);
  test::compare_with_file(drawing, "aarch64/encoders.txt");
}

/// A site with its pad, as a compiler leaves it, and what becomes of it.
class Scene {
 public:
  Scene(const test::LlvmDisassembler& llvm, SledForm form, unsigned pad_nops, bool landing_pad,
        unsigned entry_nops)
      : llvm_(llvm), form_(form), landing_pad_(landing_pad) {
    for (unsigned i = 0; i < pad_nops; ++i) append(pad_, nop());
    for (unsigned i = 0; i < entry_nops; ++i) append(entry_, nop());
  }

  std::string draw(const std::string& what) {
    std::string drawing = "== " + what + " ==\n\n" + state();
    if (form_ == SledForm::kCall) {
      pad_is_literal_ = true;
      std::ranges::copy(literal(0x555555123450), pad_.end() - kLiteralBytes);
      put(0, mov(Register::kX9, Register::kLink));
      drawing += state();
      put(4, *bl(unit() + 4, TargetAddress(0x555554000000)));
    } else {
      if (form_ == SledForm::kLandingJump) {
        put(4, bti(Landing::kCall));
        drawing += state();
      }
      put(0, *b(unit(), TargetAddress(0x555554000000)));
    }
    return drawing + state() + '\n';
  }

 private:
  static void append(Bytes& bytes, const Instruction& instruction) {
    bytes.insert(bytes.end(), instruction.begin(), instruction.end());
  }
  void put(std::size_t offset, const Instruction& instruction) {
    std::copy(instruction.begin(), instruction.end(), entry_.begin() + static_cast<std::ptrdiff_t>(offset));
  }
  [[nodiscard]] TargetAddress unit() const { return TargetAddress(kEntry + (landing_pad_ ? 4 : 0)); }

  [[nodiscard]] std::string state() const {
    constexpr const char* kStates[] = {"foreign", "off", "prepared", "on"};
    const SledState state = state_of(*find_sled(form_), entry_);
    std::string drawing = std::string(kStates[static_cast<std::size_t>(state)]) + '\n';
    const std::uint64_t pad = kEntry - pad_.size();
    const std::size_t nops = pad_is_literal_ ? pad_.size() - kLiteralBytes : pad_.size();
    drawing += test::lines(llvm_, std::span(pad_).first(nops), pad);
    if (pad_is_literal_) drawing += test::literal_line(std::span(pad_).subspan(nops), pad + nops);
    drawing += "  entry:\n";
    if (landing_pad_) drawing += test::lines(llvm_, bti(Landing::kCall), kEntry);
    return drawing + test::lines(llvm_, entry_, unit().value);
  }

  static constexpr std::uint64_t kEntry = 0x555555580010;
  const test::LlvmDisassembler& llvm_;
  SledForm form_;
  bool landing_pad_;
  bool pad_is_literal_ = false;
  Bytes pad_, entry_;
};

TEST_F(AArch64Golden, SledForms) {
  std::string drawing;
  drawing += Scene(llvm_, SledForm::kJump, 0, false, 2).draw("=2, a jump");
  drawing += Scene(llvm_, SledForm::kJump, 0, true, 2).draw("=2 with a landing pad, a jump");
  drawing += Scene(llvm_, SledForm::kJump, 2, false, 2).draw("=4,2, a jump");
  drawing += Scene(llvm_, SledForm::kLandingJump, 0, true, 2)
                 .draw("=2 with a landing pad, a jump in a module with BTI");
  drawing += Scene(llvm_, SledForm::kLandingJump, 2, false, 2).draw("=4,2, a jump in a module with BTI");
  drawing += Scene(llvm_, SledForm::kCall, 2, false, 2).draw("=4,2, a call");
  drawing += Scene(llvm_, SledForm::kCall, 2, true, 2).draw("=4,2 with a landing pad, a call");
  drawing += Scene(llvm_, SledForm::kCall, 4, false, 4).draw("=8,4, a call");
  test::compare_with_file(drawing, "aarch64/sled_forms.txt");
}

}  // namespace
}  // namespace calltap::isa::aarch64
