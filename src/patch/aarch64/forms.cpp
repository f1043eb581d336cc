// A site on AArch64: NOP <-> B stub, or NOP <-> BL stub behind a fixed MOV.
#include "patch/words/forms.h"

#include <algorithm>

#include "isa/aarch64/encode.h"
#include "isa/sled_words.h"

namespace calltap::patch {
namespace {

namespace arm = isa::aarch64;
using base::Result;
using base::TargetAddress;

}  // namespace

const site::Machine kMachine = site::Machine::kAArch64;
const Reach kStubReach = {(std::uint64_t{1} << 27) - 4096, std::uint64_t{1} << 48};

Result<PreparedCode> prepared_code(const plan::WordForm& form, std::uint64_t unit, std::uint64_t) {
  PreparedCode code;
  if (form.method == plan::Method::kCall) {
    code.address = unit;
    code.size = arm::kInstructionBytes;
    std::ranges::copy(arm::mov(arm::Register::kX9, arm::Register::kLink), code.bytes.begin());
    return code;
  }
  if (!form.landing_pad) return code;
  code.address = unit + form.body_offset;
  code.size = arm::kInstructionBytes;
  std::ranges::copy(arm::bti(arm::Landing::kCall), code.bytes.begin());
  return code;
}

Result<Switch> switch_of(const trampoline::SiteRecord& record, std::uint64_t /*stub*/, std::uint64_t to) {
  const std::uint64_t at = record.unit() + record.word.offset;
  const bool calls = record.method == static_cast<std::uint8_t>(plan::Method::kCall);
  const auto jump = (calls ? arm::bl : arm::b)(TargetAddress(at), TargetAddress(to));
  if (!jump) return jump.error();
  return Switch{at, record.word.bytes, isa::word_at(arm::nop(), 0, 4), isa::word_at(*jump, 0, 4)};
}

Result<std::array<std::uint8_t, kStubBytes>> stub_code(std::uint64_t at,
                                                       const trampoline::SiteRecord& record) {
  static_assert(arm::kStubBytes == kStubBytes);
  if (record.method == static_cast<std::uint8_t>(plan::Method::kCall)) return arm::call_stub();
  return arm::stub(TargetAddress(at), TargetAddress(reinterpret_cast<std::uint64_t>(&record)),
                   CT_RECORD_HANDLER);
}

}  // namespace calltap::patch
