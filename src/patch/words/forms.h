// What the words of a site are made of: the part of AArch64 and RISC-V that only their encoders know.
// aarch64/forms.cpp and riscv64/forms.cpp have it; isa/*/sled_forms.h has the drawings.
#pragma once

#include <array>
#include <cstdint>

#include "base/error.h"
#include "patch/near_memory.h"
#include "patch/patcher.h"
#include "patch/words/word_writer.h"
#include "plan/word_plan.h"
#include "site/elf_file.h"
#include "trampoline/state.h"

namespace calltap::patch {

/// The machine that this code runs on.
extern const site::Machine kMachine;
/// From a site, or its pad, to its stub.
extern const Reach kStubReach;

/// Code that is written once, before the site is on for the first time.
struct PreparedCode {
  std::uint64_t address = 0;
  std::uint8_t size = 0;
  std::array<std::uint8_t, 8> bytes{};
};
/// Nothing, where size is 0. `unit` is where the plan's offsets begin. A site with CALL_OPS gets its literal
/// besides. Errors: kOutOfReach.
base::Result<PreparedCode> prepared_code(const plan::WordForm& form, std::uint64_t unit, std::uint64_t stub);

/// The switch of a site, by the method, place and length that the record has. It leads to `to`: the stub, or,
/// from a site with CALL_OPS, something else near enough.
struct Switch {
  std::uint64_t address = 0;
  std::uint8_t bytes = 0;
  std::uint32_t off = 0;
  std::uint32_t on = 0;
};
/// Errors: kOutOfReach.
base::Result<Switch> switch_of(const trampoline::SiteRecord& record, std::uint64_t stub, std::uint64_t to);

/// The stub of a record. Errors: kOutOfReach.
base::Result<std::array<std::uint8_t, kStubBytes>> stub_code(std::uint64_t at,
                                                             const trampoline::SiteRecord& record);

}  // namespace calltap::patch
