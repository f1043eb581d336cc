// Preparing and switching on x86-64: one byte, or the int3 protocol.
#include "patch/patcher.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "isa/x86_64/decode.h"
#include "isa/x86_64/encode.h"
#include "isa/x86_64/sled_forms.h"
#include "patch/core_sync.h"
#include "patch/memory_map.h"
#include "patch/x86_64/preparation.h"
#include "patch/x86_64/text_writer.h"
#include "patch/x86_64/trap.h"

namespace calltap::patch {
namespace {

namespace x86 = isa::x86_64;
using base::Error;
using base::ErrorCode;
using base::Result;
using trampoline::SiteRecord;

}  // namespace

Result<Counts> Patcher::prepare(const Selection& selection, ModulePatch& module) {
  auto used = read_memory_map();
  if (!used) return used.error();
  Preparation work(selection, module, std::move(*used));
  Result<void> done = work.plan_sites();
  if (done) done = work.choose_mirrors();
  if (done) done = work.find_rooms();
  if (done) done = work.write_stubs();
  if (done) done = work.write_mirrors();
  if (done) done = work.collect_text_changes();
  if (done) done = work.reserve();
  if (!done) return done.error();
  TextWriter writer;
  if (auto written = writer.apply(work.text_changes()); !written) return written.error();
  if (thread_count() != 1) {
    if (auto synchronised = synchronise_cores(); !synchronised) return synchronised.error();
  }
  work.keep();
  return Counts{static_cast<std::uint32_t>(work.count()), work.refused()};
}

namespace {

/// What the trap protocol writes to switch the record.
Result<TrapPoke> trap_poke(const SiteRecord& record, std::uint64_t stub, bool on) {
  TrapPoke poke;
  poke.address = record.unit();
  poke.resume = on ? stub : record.body();
  std::uint8_t off[5] = {record.off_byte};
  std::memcpy(off + 1, &record.tail, sizeof record.tail);
  std::uint8_t jump[5] = {};
  if (record.on_byte == x86::kJmpRel32) {
    poke.length = 5;
    auto code = x86::jmp_rel32(base::TargetAddress(record.unit()), base::TargetAddress(stub));
    if (!code) return code.error();
    std::copy(code->begin(), code->end(), jump);
  } else {
    poke.length = 2;
    jump[0] = record.on_byte;
    jump[1] = *x86::pad_jump_displacement(record.landing_pad_bytes);
  }
  std::memcpy(poke.before, on ? off : jump, sizeof off);
  std::memcpy(poke.after, on ? jump : off, sizeof off);
  return poke;
}

}  // namespace

Result<void> Patcher::toggle(ModulePatch& module, std::span<SiteRecord* const> records, bool on) {
  base::Array<ByteChange> changes;
  base::Array<TrapPoke> pokes;
  if (!changes.reserve(records.size())) return ErrorCode::kOutOfMemory;
  for (const SiteRecord* record : records) {
    if (record->is_on == on) continue;
    if (record->method != static_cast<std::uint8_t>(plan::Method::kTrap)) {
      const ByteChange change = {record->unit(), on ? record->off_byte : record->on_byte,
                                 on ? record->on_byte : record->off_byte};
      if (!changes.push_back(change)) return ErrorCode::kOutOfMemory;
      continue;
    }
    auto poke = trap_poke(*record, module.stub_of(*record), on);
    if (!poke) return poke.error();
    if (!pokes.push_back(*poke)) return ErrorCode::kOutOfMemory;
  }
  if (changes.empty() && pokes.empty()) return {};
  const auto by_address = [](const auto& a, const auto& b) { return a.address < b.address; };
  if (!std::is_sorted(changes.begin(), changes.end(), by_address))
    std::sort(changes.begin(), changes.end(), by_address);
  std::sort(pokes.begin(), pokes.end(), by_address);
  TextWriter writer;
  if (auto written = writer.apply(changes); !written) return written.error();
  for (SiteRecord* record : records) {
    if (record->method != static_cast<std::uint8_t>(plan::Method::kTrap)) record->is_on = on;
  }
  if (auto poked = poke(writer, pokes); !poked) return poked.error();
  for (SiteRecord* record : records) record->is_on = on;
  return synchronise_cores();
}

Result<void> Patcher::lead(ModulePatch&, std::span<const Destination>) { return {}; }  // sites jump

Result<void> Patcher::redirect(std::uint64_t function, std::uint64_t to) {
  // A lone `ret`, perhaps behind a landing pad, with alignment padding behind it: room for a jump.
  constexpr std::uint8_t kReturn = 0xc3;
  const std::span<const std::uint8_t> bytes(code_at(function), 16 - function % 16);
  const std::size_t skip = isa::x86_64::is_landing_pad(bytes) ? isa::x86_64::kLandingPadBytes : 0;
  if (bytes.size() < skip + x86::kJmpRel32Bytes || bytes[skip] != kReturn)
    return Error(ErrorCode::kSiteNotPatchable, 0, function);
  const std::uint64_t at = function + skip;
  const std::span<const std::uint8_t> expected = bytes.subspan(skip);
  auto code = x86::jmp_rel32(base::TargetAddress(at), base::TargetAddress(to));
  if (!code) return code.error();
  base::Array<ByteChange> tail;
  base::Array<ByteChange> first;
  bool added = first.push_back({at, expected[0], (*code)[0]});
  for (std::size_t i = 1; i < code->size(); ++i)
    added = added && tail.push_back({at + i, expected[i], (*code)[i]});
  if (!added) return ErrorCode::kOutOfMemory;
  TextWriter writer;
  if (auto written = writer.apply(tail); !written) return written;
  if (auto synchronised = synchronise_cores(); !synchronised && thread_count() != 1) return synchronised;
  return writer.apply(first);
}

}  // namespace calltap::patch
