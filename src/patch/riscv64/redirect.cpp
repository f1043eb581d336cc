// The loader's notification function on RISC-V.
//
// glibc's is `c.jr ra`: two bytes, with another function right behind, and a C.J of two bytes reaches nothing
// that is free. But the loader calls it by JAL, and of a JAL the upper half alone decides between places that
// are multiples of 64 KiB apart:
//
//      31    30..21    20   19..16 | 15..12   11..7  6..0
//     [20]   [10:1]   [11]  [19:16]| [15:12]  ra     JAL        bits of the distance
//
// So the function gets a twin, N * 64 KiB away from it, where nothing was mapped, and each JAL that leads to
// the function leads to the twin after one store of two aligned bytes. Where libraries lie on both sides of
// the loader, as under qemu-user, the twin is in this library, if that is near enough (landing_area.S).
#include <algorithm>
#include <utility>

#include "isa/riscv64/encode.h"
#include "isa/sled_words.h"
#include "isa/system.h"
#include "patch/core_sync.h"
#include "patch/memory_map.h"
#include "patch/near_memory.h"
#include "patch/patcher.h"
#include "patch/words/word_writer.h"

extern "C" {
extern std::uint8_t ct_landing_area[];
extern std::uint8_t ct_landing_area_end[];
}

namespace calltap::patch {
namespace {

namespace riscv = isa::riscv64;
using base::Array;
using base::Error;
using base::ErrorCode;
using base::Result;
using base::TargetAddress;

constexpr std::int64_t kStep = std::int64_t{1} << 16;  // landing_area.S has as many bytes and a page
constexpr std::uint32_t kLinkField = 0xf80;
constexpr std::int64_t kSteps = 14;  // a JAL reaches 16, of which a module takes some

/// `jal link, to`, 0 if that is out of reach.
std::uint32_t jal_word(std::uint64_t at, riscv::Register link, std::uint64_t to) {
  const auto jump = riscv::jal(TargetAddress(at), link, TargetAddress(to));
  return jump ? isa::word_at(*jump, 0, 4) : 0;
}

bool is_empty_function(std::uint64_t function) {
  return isa::word_at({code_at(function), 2}, 0, 2) ==
             isa::word_at(riscv::c_jr(riscv::Register::kRa), 0, 2) ||
         isa::word_at({code_at(function), 4}, 0, 4) == isa::word_at(riscv::jr(riscv::Register::kRa), 0, 4);
}

/// Calls and jumps in `code`. Whatever else has all the bits of one is so rare (the distance is part of it)
/// that every position is looked at, not only begins of instructions, which nothing tells.
Result<Array<std::uint64_t>> find_calls(plan::Range code, std::uint64_t function) {
  Array<std::uint64_t> calls;
  for (std::uint64_t at = code.begin; at + 4 <= code.end; at += 2) {
    const std::uint32_t word = isa::word_at({code_at(at), 4}, 0, 4);
    for (const riscv::Register link : {riscv::Register::kRa, riscv::Register::kZero}) {
      if ((word & 0xfff) != (jal_word(at, link, at) & 0xfff) || word != jal_word(at, link, function))
        continue;
      if (!calls.push_back(at)) return ErrorCode::kOutOfMemory;
    }
  }
  return calls;
}

/// The upper halves of all calls, for a function that is elsewhere now. Empty if some does not reach it.
Result<Array<WordChange>> lead_to(const Array<std::uint64_t>& calls, std::uint64_t function,
                                  std::uint64_t twin) {
  Array<WordChange> changes;
  for (const std::uint64_t at : calls) {
    const bool is_call = (isa::word_at({code_at(at), 2}, 0, 2) & kLinkField) != 0;
    const riscv::Register link = is_call ? riscv::Register::kRa : riscv::Register::kZero;
    const std::uint32_t before = jal_word(at, link, function);
    const std::uint32_t after = jal_word(at, link, twin);
    if (after == 0 || (after & 0xffff) != (before & 0xffff)) return Array<WordChange>();
    if (!changes.push_back({at + 2, 2, before >> 16, after >> 16})) return ErrorCode::kOutOfMemory;
  }
  return changes;
}

struct Twin {
  std::uint64_t function = 0;
  std::uint64_t island = 0;
  plan::Range pages;
  bool is_mapped = false;  // by us, for this
  Array<WordChange> changes;
};

/// Above the module rather than below: libraries are mapped downwards.
Result<Twin> map_twin(const Array<std::uint64_t>& calls, std::uint64_t function) {
  auto used = read_memory_map();
  if (!used) return used.error();
  const std::uint64_t page = page_bytes();
  for (std::int64_t i = 0; i < 2 * kSteps; ++i) {
    const std::int64_t steps = i < kSteps ? i + 1 : kSteps - i - 1;
    Twin twin;
    twin.function = function + static_cast<std::uint64_t>(steps * kStep);
    auto changes = lead_to(calls, function, twin.function);
    if (!changes) return changes.error();
    if (changes->empty()) continue;
    twin.changes = std::move(*changes);
    // The jump in its place, and the island on whatever is left of the pages.
    twin.pages.begin = twin.function & ~(page - 1);
    twin.pages.end = ((twin.function + riscv::kFarBytes + page - 1) & ~(page - 1)) + page;
    twin.island = twin.pages.end - page;
    auto mapped = map_at(twin.pages.begin, twin.pages.end - twin.pages.begin, *used);
    twin.is_mapped = true;
    if (mapped) return twin;
    if (mapped.error().code != ErrorCode::kNoRoomInReach) return mapped.error();
  }
  return Error(ErrorCode::kNoRoomInReach, 0, function);
}

Result<Twin> place_twin(const Array<std::uint64_t>& calls, std::uint64_t function) {
  const auto area = reinterpret_cast<std::uint64_t>(ct_landing_area);
  const auto area_end = reinterpret_cast<std::uint64_t>(ct_landing_area_end);
  Twin twin;
  twin.function = area + (function - area) % static_cast<std::uint64_t>(kStep);
  auto changes = lead_to(calls, function, twin.function);
  if (!changes) return changes.error();
  if (changes->empty()) return Error(ErrorCode::kNoRoomInReach, 0, function);
  twin.changes = std::move(*changes);
  twin.pages = {area, area_end};
  // Behind the twin, where there is always room.
  twin.island = (twin.function + riscv::kFarBytes + 7) & ~std::uint64_t{7};
  const long result = isa::native::system_call(SYS_mprotect, static_cast<long>(area),
                                               static_cast<long>(area_end - area), PROT_READ | PROT_WRITE);
  if (isa::is_error(result)) return Error(ErrorCode::kMemoryProtect, static_cast<int>(-result), area);
  return twin;
}

Result<Twin> make_twin(const Array<std::uint64_t>& calls, std::uint64_t function) {
  auto twin = map_twin(calls, function);
  if (twin || twin.error().code != ErrorCode::kNoRoomInReach) return twin;
  return place_twin(calls, function);
}

Result<void> write_twin(const Twin& twin, std::uint64_t to) {
  const auto jump = riscv::far_jump(TargetAddress(twin.function), TargetAddress(twin.island));
  if (!jump) return jump.error();
  const auto far = riscv::island(TargetAddress(twin.island), TargetAddress(to));
  if (!far) return far.error();
  std::copy(jump->begin(), jump->end(), reinterpret_cast<std::uint8_t*>(twin.function));
  std::copy(far->begin(), far->end(), reinterpret_cast<std::uint8_t*>(twin.island));
  return make_executable(twin.pages.begin, twin.pages.end - twin.pages.begin);
}

}  // namespace

Result<void> Patcher::redirect(std::uint64_t function, std::uint64_t to) {
  if (!is_empty_function(function)) return Error(ErrorCode::kSiteNotPatchable, 0, function);
  const auto code = executable_mapping(function);
  if (!code) return code.error();
  const auto calls = find_calls(*code, function);
  if (!calls) return calls.error();
  if (calls->empty()) return Error(ErrorCode::kSiteNotPatchable, 0, function);
  const auto twin = make_twin(*calls, function);
  if (!twin) return twin.error();
  auto done = write_twin(*twin, to);
  if (done) done = synchronise_cores();
  if (done) done = WordWriter(false).apply(twin->changes);
  if (!done) {
    if (twin->is_mapped)
      isa::unmap_memory(reinterpret_cast<void*>(twin->pages.begin), twin->pages.end - twin->pages.begin);
    return done;
  }
  return synchronise_cores();
}

}  // namespace calltap::patch
