// The int3 protocol: replace several bytes of an instruction while threads run through it.
//
//   1  INT3 over the first byte     -> every thread that comes now traps, and the handler gives it the new
//   form 2  synchronise cores 3  the other bytes 4  synchronise cores 5  the first byte of the new form 6
//   synchronise cores            -> no thread can trap here any more
#pragma once

#include <cstdint>
#include <span>

#include "base/error.h"
#include "patch/x86_64/text_writer.h"

namespace calltap::patch {

/// One instruction to replace.
struct TrapPoke {
  std::uint64_t address = 0;
  std::uint64_t resume = 0;  // where a thread that traps goes on: what the new form would do
  std::uint8_t length = 0;   // bytes that change, 2 to 5
  std::uint8_t before[5] = {};
  std::uint8_t after[5] = {};
};

/// Replaces all of them, sorted by address. A process with one thread is written at once. Otherwise a handler
/// for SIGTRAP is in place while it lasts; a SIGTRAP that is not ours goes to the program's own. Call under
/// the text lock. Errors: kThreadBlocksTrap (the kernel would kill a thread that hits an INT3 with SIGTRAP
/// blocked), kTextMismatch, kTextUnwritable, kCoreSyncUnavailable.
base::Result<void> poke(TextWriter& writer, std::span<const TrapPoke> sorted);

}  // namespace calltap::patch
