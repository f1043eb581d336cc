// The loader's notification function on AArch64.
#include <algorithm>

#include "isa/aarch64/decode.h"
#include "isa/aarch64/encode.h"
#include "isa/sled_words.h"
#include "isa/system.h"
#include "patch/core_sync.h"
#include "patch/memory_map.h"
#include "patch/near_memory.h"
#include "patch/patcher.h"
#include "patch/words/forms.h"
#include "patch/words/word_writer.h"

namespace calltap::patch {

namespace arm = isa::aarch64;
using base::Error;
using base::ErrorCode;
using base::Result;
using base::TargetAddress;

/// RET, perhaps behind a landing pad, becomes a B to an island nearby. Nothing else is needed: the functions
/// are words, and no padding has to follow.
Result<void> Patcher::redirect(std::uint64_t function, std::uint64_t to) {
  const bool has_landing_pad = arm::is_landing_pad({code_at(function), arm::kLandingPadBytes});
  const std::uint64_t at = function + (has_landing_pad ? arm::kLandingPadBytes : 0);
  const std::uint32_t ret = isa::word_at(arm::ret(), 0, 4);
  if (isa::word_at({code_at(at), 4}, 0, 4) != ret) return Error(ErrorCode::kSiteNotPatchable, 0, function);

  auto used = read_memory_map();
  if (!used) return used.error();
  const std::uint64_t page = page_bytes();
  auto island = map_near({at, at}, page, kStubReach, *used);
  if (!island) return island.error();
  const auto write = [&]() -> Result<void> {
    const auto code = arm::island(TargetAddress(*island), TargetAddress(to));
    if (!code) return code.error();
    std::copy(code->begin(), code->end(), reinterpret_cast<std::uint8_t*>(*island));
    clean_caches(*island, code->size());
    if (auto done = make_executable(*island, page); !done) return done;
    const auto jump = arm::b(TargetAddress(at), TargetAddress(*island));
    if (!jump) return jump.error();
    if (auto done = synchronise_cores(); !done) return done;
    const WordChange change = {at, 4, ret, isa::word_at(*jump, 0, 4)};
    return WordWriter(has_landing_pad).apply({&change, 1});
  };
  if (auto written = write(); !written) {
    isa::unmap_memory(reinterpret_cast<void*>(*island), page);
    return written;
  }
  return synchronise_cores();
}

}  // namespace calltap::patch
