// Draws every encoder's output and every patched form, bytes beside the disassembly of Zydis, and compares
// the drawing with the file that a person has read.
#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <vector>

#include "golden_file.h"
#include "isa/x86_64/decode.h"
#include "isa/x86_64/encode.h"
#include "plan/plan.h"
#include "x86_disassembler.h"

namespace calltap {
namespace {

using base::LinkAddress;
using base::TargetAddress;
using Bytes = std::vector<std::uint8_t>;
namespace x86 = isa::x86_64;

std::string lines(std::span<const std::uint8_t> code, std::uint64_t address) {
  std::string text;
  for (const test::Disassembled& i : test::disassemble(code, address)) {
    const std::size_t length = i.length == 0 ? 1 : i.length;
    char line[160];
    std::snprintf(line, sizeof line, "  %012llx  %-29s  %s\n", static_cast<unsigned long long>(i.address),
                  test::hex_bytes(code.subspan(i.address - address, length)).c_str(),
                  i.length == 0 ? "(bad)" : i.text.c_str());
    text += line;
  }
  return text;
}

TEST(Golden, Encoders) {
  const TargetAddress at(0x7f0000001000);
  std::string drawing;
  const auto draw = [&](const char* what, std::span<const std::uint8_t> code) {
    drawing += std::string(what) + '\n' + lines(code, at.value) + '\n';
  };
  draw("jmp_rel8, forwards", *x86::jmp_rel8(at, at + 0x81));
  draw("jmp_rel8, backwards", *x86::jmp_rel8(at, at - 7));
  draw("jmp_rel32, forwards", *x86::jmp_rel32(at, at + 0x12345678));
  draw("jmp_rel32, backwards", *x86::jmp_rel32(at, at - 0x12345678));
  draw("call_rel32", *x86::call_rel32(at, at + 0x1000));
  draw("jmp_through", *x86::jmp_through(at, at - 0x1000));
  draw("lea_r11", *x86::lea_r11(at, at + 0x100000));
  draw("jmp_through_r11, no offset", x86::jmp_through_r11(0));
  draw("jmp_through_r11, offset 8", x86::jmp_through_r11(8));
  for (std::size_t length = 1; length <= 9; ++length) {
    draw(("nop of " + std::to_string(length)).c_str(), x86::nop(length));
  }
  draw("stub", *x86::stub(at, at + 0x200000, 16));
  draw("pad_stub", *x86::pad_stub(TargetAddress(0x12345670)));
  test::compare_with_file(drawing, "x86_64/encoders.txt");
}

/// A function with its sled as it lies in memory, and what the patcher does to it.
class Scene {
 public:
  Scene(unsigned pad, bool landing_pad, Bytes unit, bool fixed_position)
      : fixed_position_(fixed_position),
        entry_(fixed_position ? 0x401000 : 0x555555580000),
        text_(pad, 0x90) {
    constexpr std::uint8_t kEndbr64[] = {0xf3, 0x0f, 0x1e, 0xfa};
    if (landing_pad) text_.insert(text_.end(), std::begin(kEndbr64), std::end(kEndbr64));
    unit_ = text_.size();
    text_.insert(text_.end(), unit.begin(), unit.end());
    site_.recorded = LinkAddress(entry_ - pad);
    site_.entry = LinkAddress(entry_);
    site_.unit = LinkAddress(entry_ - pad + unit_);
    site_.pad_bytes = static_cast<std::uint16_t>(pad);
    site_.landing_pad_bytes = landing_pad ? 4 : 0;
    site_.entry_bytes = static_cast<std::uint8_t>(unit.size());
    site_.first_nop_bytes = static_cast<std::uint8_t>(x86::nop_length(unit));
  }

  std::string draw(const std::string& title) {
    plan::SitePlan plan = plan::classify(site_, std::span(text_).subspan(unit_), fixed_position_);
    const std::vector<plan::Range> used{{entry_ & ~0xfffffULL, (entry_ | 0xfffff) + 1}};
    if (plan.method == plan::Method::kMirror) {
      const auto displacement = plan::choose_displacement(plan.form, {entry_, entry_ + 0x1000}, used);
      plan::set_displacement(plan, site_, displacement);
    }
    if (plan::can_have_stub_in_pad(plan, site_)) plan::set_stub_in_pad(plan, site_, true);
    std::string drawing = "== " + title + ": " + std::string(plan::name(plan.method)) + ", body at +" +
                          std::to_string(plan.body_offset) + " ==\n\n";
    drawing += "off\n" + text();
    if (plan.convert) drawing += convert();
    drawing += plan.method == plan::Method::kTrap ? trap(plan) : toggle(plan);
    return drawing + '\n';
  }

 private:
  /// Pad and entry apart, so that the last line of the one does not run into the other.
  [[nodiscard]] std::string text() const {
    const std::size_t pad = site_.pad_bytes;
    std::size_t jump = pad;
    if (pad >= 5 && text_[pad - 5] == x86::kJmpRel32) jump = pad - 5;
    if (pad >= 9 && text_[pad - 9] != 0x90) jump = pad - 9;
    return lines(std::span(text_).first(jump), site_.recorded.value) +
           lines(std::span(text_).subspan(jump, pad - jump), site_.recorded.value + jump) + "  entry:\n" +
           lines(std::span(text_).subspan(pad), entry_);
  }

  std::string convert() {
    const auto nop = x86::nop(5);
    std::copy(nop.begin(), nop.end(), text_.begin() + static_cast<std::ptrdiff_t>(unit_));
    return "converted, while the process has a single thread\n" + text();
  }

  std::string toggle(const plan::SitePlan& plan) {
    const bool pad = plan.method == plan::Method::kPad;
    if (pad) write(plan.jump_at, plan.stub_in_pad ? stub_in_pad() : jump_to_stub(plan.jump_at));
    for (unsigned i = 0; i < plan.prepare_count; ++i)
      text_[unit_ + plan.prepare[i].offset] = plan.prepare[i].byte;
    const std::string mirror =
        pad ? "" : "  mirror:\n" + lines(jump_to_stub(plan.jump_at), plan.jump_at.value);
    std::string drawing = "prepared\n" + mirror + text();
    text_[unit_] = plan.on_byte;
    return drawing + "on\n" + mirror +
           (pad ? text() : lines(std::span(text_).subspan(unit_, 5), site_.unit.value));
  }

  std::string trap(const plan::SitePlan& plan) {
    write(plan.jump_at, jump_to_stub(plan.jump_at));
    if (plan.jump_at != site_.unit) {
      const auto jump = x86::jmp_rel8(TargetAddress(site_.unit.value), TargetAddress(plan.jump_at.value));
      std::copy(jump->begin(), jump->end(), text_.begin() + static_cast<std::ptrdiff_t>(unit_));
    }
    const std::size_t jump_bytes = plan.on_byte == x86::kJmpRel8 ? 2 : 5;
    EXPECT_EQ(text_[unit_], plan.on_byte);
    const std::size_t pad_jump = plan.jump_at == site_.unit ? 0 : 5;
    return "on\n" +
           lines(std::span(text_).subspan(site_.pad_bytes - pad_jump, pad_jump), plan.jump_at.value) +
           lines(std::span(text_).subspan(unit_, jump_bytes), site_.unit.value);
  }

  [[nodiscard]] static Bytes jump_to_stub(LinkAddress at) {
    const auto code = x86::jmp_rel32(TargetAddress(at.value), TargetAddress(at.value - 0x100000));
    return {code->begin(), code->end()};
  }
  [[nodiscard]] static Bytes stub_in_pad() {
    const auto code = x86::pad_stub(TargetAddress(0x12345670));
    return {code->begin(), code->end()};
  }
  void write(LinkAddress at, const Bytes& code) {
    std::copy(code.begin(), code.end(), text_.begin() + (at - site_.recorded));
  }

  bool fixed_position_;
  std::uint64_t entry_;
  Bytes text_;
  std::size_t unit_ = 0;
  site::Site site_;
};

Bytes nop(std::size_t length) {
  const auto code = x86::nop(length);
  return {code.begin(), code.end()};
}

TEST(Golden, PatchedForms) {
  const Bytes nop10 = {0x66, 0x2e, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00};
  std::string drawing;
  drawing += Scene(8, false, Bytes(2, 0x90), false).draw("90 90 behind a pad");
  drawing += Scene(8, true, Bytes(2, 0x90), false).draw("90 90 behind a pad and ENDBR64");
  drawing += Scene(8, false, nop(2), false).draw("66 90 behind a pad");
  drawing += Scene(8, true, nop(2), false).draw("66 90 behind a pad and ENDBR64");
  drawing += Scene(12, false, Bytes(2, 0x90), false).draw("90 90 behind a pad with room for the stub");
  drawing += Scene(12, true, Bytes(2, 0x90), false).draw("90 90 behind such a pad and ENDBR64");
  drawing += Scene(12, false, nop(2), false).draw("66 90 behind a pad with room for the stub");
  drawing += Scene(0, false, Bytes(5, 0x90), false).draw("five 90");
  drawing += Scene(0, true, Bytes(5, 0x90), false).draw("five 90 behind ENDBR64");
  drawing += Scene(0, false, Bytes(5, 0x90), true).draw("five 90, non-PIE");
  drawing += Scene(0, false, nop(5), false).draw("0F 1F 44 sib d8");
  drawing += Scene(0, false, nop(5), true).draw("0F 1F 44 sib d8, non-PIE");
  drawing += Scene(0, false, nop(6), false).draw("66 0F 1F 44 sib d8");
  drawing += Scene(0, false, nop(7), false).draw("0F 1F 80 d32");
  drawing += Scene(0, false, nop(8), false).draw("0F 1F 84 sib d32");
  drawing += Scene(0, false, nop(9), false).draw("66 0F 1F 84 sib d32");
  drawing += Scene(8, false, nop(3), false).draw("0F 1F 00 behind a pad");
  drawing += Scene(8, true, nop(4), false).draw("0F 1F 40 00 behind a pad and ENDBR64");
  drawing += Scene(0, false, nop10, false).draw("66 2E 0F 1F 84 sib d32");
  test::compare_with_file(drawing, "x86_64/patched_forms.txt");
}

}  // namespace
}  // namespace calltap
