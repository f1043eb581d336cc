#include "site/pad_evidence.h"

#include <algorithm>

namespace calltap::site {
namespace {

constexpr std::int64_t kNone = -1;

}  // namespace

base::Result<void> PadEvidence::add(std::int64_t sled_bytes, std::int64_t pad_bytes) {
  Pad* known =
      std::find_if(pads_.begin(), pads_.end(), [&](const Pad& pad) { return pad.sled_bytes == sled_bytes; });
  if (known != pads_.end()) {
    if (known->pad_bytes != pad_bytes) known->pad_bytes = kNone;
    return {};
  }
  if (!pads_.push_back({sled_bytes, pad_bytes})) return base::ErrorCode::kOutOfMemory;
  return {};
}

std::int64_t PadEvidence::pad_of(std::int64_t sled_bytes) const {
  const Pad* known =
      std::find_if(pads_.begin(), pads_.end(), [&](const Pad& pad) { return pad.sled_bytes == sled_bytes; });
  return known != pads_.end() ? known->pad_bytes : kNone;
}

}  // namespace calltap::site
