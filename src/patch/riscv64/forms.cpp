// A site on RISC-V: NOP <-> jump to the pad, or the second half of a far jump or a far call.
#include "patch/words/forms.h"

#include <algorithm>

#include "isa/riscv64/encode.h"
#include "isa/sled_words.h"

namespace calltap::patch {
namespace {

namespace riscv = isa::riscv64;
using base::Result;
using base::TargetAddress;
using plan::Method;

/// The pad's last eight bytes; this architecture has no landing pad behind them.
std::uint64_t pad_jump(std::uint64_t unit) { return unit - riscv::kFarBytes; }

Result<std::uint32_t> jump_to_pad(std::uint64_t unit, unsigned bytes) {
  const TargetAddress at(unit);
  const TargetAddress to(pad_jump(unit));
  if (bytes == riscv::kCompressedBytes) {
    const auto jump = riscv::c_j(at, to);
    return jump ? Result<std::uint32_t>(isa::word_at(*jump, 0, 2)) : jump.error();
  }
  const auto jump = riscv::jal(at, riscv::Register::kZero, to);
  return jump ? Result<std::uint32_t>(isa::word_at(*jump, 0, 4)) : jump.error();
}

/// What AUIPC, which has been written for the stub, and the second word make of both addresses. Errors:
/// kOutOfReach.
Result<std::uint32_t> far_switch(const trampoline::SiteRecord& record, std::uint64_t stub, std::uint64_t to) {
  const bool calls = record.method == static_cast<std::uint8_t>(Method::kCall);
  const auto encode = calls ? riscv::far_call : riscv::far_jump;
  const auto prepared = encode(TargetAddress(record.unit()), TargetAddress(stub));
  const auto far = encode(TargetAddress(record.unit()), TargetAddress(to));
  if (!prepared) return prepared.error();
  if (!far) return far.error();
  if (isa::word_at(*far, 0, 4) != isa::word_at(*prepared, 0, 4)) return base::ErrorCode::kOutOfReach;
  return isa::word_at(*far, record.word.offset, 4);
}

}  // namespace

const site::Machine kMachine = site::Machine::kRiscV64;
const Reach kStubReach = {(std::uint64_t{1} << 31) - (std::uint64_t{1} << 20), std::uint64_t{1} << 47};

Result<PreparedCode> prepared_code(const plan::WordForm& form, std::uint64_t unit, std::uint64_t stub) {
  PreparedCode code;
  const bool calls = form.method == Method::kCall;
  const bool is_in_pad = form.method == Method::kJump;
  code.address = is_in_pad ? pad_jump(unit) : unit;
  code.size = riscv::kFarBytes;
  const auto far =
      (calls ? riscv::far_call : riscv::far_jump)(TargetAddress(code.address), TargetAddress(stub));
  if (!far) return far.error();
  code.bytes = *far;
  if (!is_in_pad) std::ranges::copy(riscv::nop(), code.bytes.begin() + riscv::kInstructionBytes);
  return code;
}

Result<Switch> switch_of(const trampoline::SiteRecord& record, std::uint64_t stub, std::uint64_t to) {
  const std::uint64_t unit = record.unit();
  Switch found = {unit + record.word.offset, record.word.bytes, isa::word_at(riscv::nop(), 0, 4), 0};
  const auto method = static_cast<Method>(record.method);
  if (method == Method::kFarJump || method == Method::kCall) {
    const auto far = far_switch(record, stub, to);
    if (!far) return far.error();
    found.on = *far;
    return found;
  }
  if (found.bytes == riscv::kCompressedBytes) found.off = isa::word_at(riscv::c_nop(), 0, 2);
  const auto on = jump_to_pad(unit, found.bytes);
  if (!on) return on.error();
  found.on = *on;
  return found;
}

Result<std::array<std::uint8_t, kStubBytes>> stub_code(std::uint64_t at,
                                                       const trampoline::SiteRecord& record) {
  static_assert(riscv::kStubBytes == kStubBytes);
  if (record.method == static_cast<std::uint8_t>(Method::kCall)) return riscv::call_stub();
  return riscv::stub(TargetAddress(at), TargetAddress(reinterpret_cast<std::uint64_t>(&record)),
                     CT_RECORD_HANDLER);
}

}  // namespace calltap::patch
