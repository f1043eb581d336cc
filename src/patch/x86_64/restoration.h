// From prepared code back to what is in the file, with threads running.
//
// Nobody comes to the pad any more, but a thread may have been preempted there: before the stub, or between
// its two instructions. So each byte is changed alone, cores are synchronised between passes, and after each
// pass what starts at these two places does nothing and runs on into the function:
//
//   pass   stub in the pad                                      jump in the pad
//    0     41 BB imm32    41 85 23   test %esp, (%r11)          A9 rel32          test $, %eax
//    1     41 BB imm32    41 85 F8   test %edi, %r8d            A9 90 90 90 90
//    2     41 A9 imm32    90 85 F8   test $, %eax; test         90 90 90 90 90
//    3     41 A9 90 ..    90 90 F8   test $, %eax; clc
//    4     90 A9 90 ..    90 90 90
//    5     90 90 90 90 90 90 90 90 90
//
// (Pass 0's test reads the record, which stays mapped.) The bytes at the entry are harmless in any mixture,
// see docs/patch-protocol.md; they change in pass 0. The same passes backwards prepare the code again.
#pragma once

#include <cstdint>
#include <span>

#include "base/array.h"
#include "patch/restore_step.h"

namespace calltap::patch {

/// A sled in both forms. `memory` and `file` begin at the same place and are equally long; `unit` is the
/// index of the first byte that is toggled, `entry` that of the function.
struct PreparedSled {
  std::span<const std::uint8_t> memory;
  std::span<const std::uint8_t> file;
  std::size_t entry = 0;
  std::size_t unit = 0;
};

enum class Restored : std::uint8_t { kPlanned, kLeft, kNoMemory };

/// Appends what makes the file's bytes of the memory's, the first of which is at `offset`. kLeft, and nothing
/// appended: the pad has NOPs of several bytes, or the unit was converted, so that a thread may stand in the
/// middle of an instruction of the file's.
Restored plan_restoration(const PreparedSled& sled, std::uint32_t offset, base::Array<RestoreStep>& steps);

}  // namespace calltap::patch
