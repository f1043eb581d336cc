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
#include "patch/x86_64/restoration.h"
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

namespace {

/// One pass over all sites of a module, forwards or backwards.
Result<void> apply_pass(TextWriter& writer, std::span<const RestoreStep> steps, std::uint64_t base,
                        std::uint8_t pass, bool backwards) {
  base::Array<ByteChange> changes;
  for (const RestoreStep& step : steps) {
    if (step.pass != pass) continue;
    ByteChange change{base + step.offset, step.from, step.to};
    if (backwards) std::swap(change.expected, change.wanted);
    if (!changes.push_back(change)) return ErrorCode::kOutOfMemory;
  }
  if (changes.empty()) return {};
  std::sort(changes.begin(), changes.end(),
            [](const ByteChange& a, const ByteChange& b) { return a.address < b.address; });
  if (auto written = writer.apply(changes); !written) return written;
  return synchronise_cores();
}

/// Both forms of the record's sled.
PreparedSled sled_of(const SiteRecord& record, const site::Site& site, const LoadedFile& loaded) {
  const base::LinkAddress begin = std::min(site.recorded, site.entry);
  const std::uint64_t size = static_cast<std::uint64_t>(site.unit - begin) + site.entry_bytes;
  const auto file = loaded.file->at(begin, size);
  const std::uint64_t address = base::to_target(begin, loaded.load_bias).value;
  return {{code_at(address), file.size()},
          file,
          static_cast<std::size_t>(record.entry - address),
          static_cast<std::size_t>(record.unit() - address)};
}

}  // namespace

Result<std::uint32_t> Patcher::restore(const LoadedFile& loaded, ModulePatch& module) {
  if (!module.restoration_.empty()) return std::uint32_t{0};  // it has been
  std::uint32_t left = 0;
  bool has_memory = true;
  module.for_each([&](const SiteRecord& record) {
    const base::LinkAddress entry = base::to_link(base::TargetAddress(record.entry), loaded.load_bias);
    auto site = std::lower_bound(loaded.sites.begin(), loaded.sites.end(), entry,
                                 [](const site::Site& s, base::LinkAddress e) { return s.entry < e; });
    while (site != loaded.sites.end() && site->entry == entry && site->problem != site::SiteProblem::kNone)
      ++site;
    if (site == loaded.sites.end() || site->entry != entry) {
      ++left;
      return;
    }
    const PreparedSled sled = sled_of(record, *site, loaded);
    const auto offset =
        static_cast<std::uint32_t>(reinterpret_cast<std::uint64_t>(sled.memory.data()) - loaded.load_bias);
    const Restored planned = plan_restoration(sled, offset, module.restoration_);
    left += planned == Restored::kLeft ? 1 : 0;
    has_memory = has_memory && planned != Restored::kNoMemory;
  });
  if (!has_memory) {
    module.restoration_ = {};
    return ErrorCode::kOutOfMemory;
  }
  module.restored_base_ = loaded.load_bias;
  TextWriter writer;
  for (std::uint8_t pass = 0; pass < kRestorePasses; ++pass) {
    if (auto done = apply_pass(writer, module.restoration_, loaded.load_bias, pass, false); !done) {
      return done.error();
    }
  }
  return left;
}

Result<void> Patcher::prepare_again(ModulePatch& module) {
  TextWriter writer;
  for (std::uint8_t pass = kRestorePasses; pass-- > 0;) {
    if (auto done = apply_pass(writer, module.restoration_, module.restored_base_, pass, true); !done) {
      return done;
    }
  }
  module.restoration_ = {};
  return {};
}

Result<void> Patcher::toggle(ModulePatch& module, std::span<SiteRecord* const> records, bool on) {
  if (on && !module.restoration_.empty()) {
    if (auto prepared = prepare_again(module); !prepared) return prepared;
  }
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

namespace {

/// Where the loader's notification was redirected, and what was there.
struct Redirected {
  std::uint64_t address = 0;  // 0: it is not
  x86::Code<x86::kJmpRel32Bytes> before{};
  x86::Code<x86::kJmpRel32Bytes> after{};
};
Redirected redirected;  // under the text lock

/// Changes all but the first byte.
Result<void> write_tail(TextWriter& writer, std::uint64_t at, const x86::Code<x86::kJmpRel32Bytes>& from,
                        const x86::Code<x86::kJmpRel32Bytes>& to) {
  base::Array<ByteChange> tail;
  for (std::size_t i = 1; i < to.size(); ++i) {
    if (!tail.push_back({at + i, from[i], to[i]})) return ErrorCode::kOutOfMemory;
  }
  return writer.apply(tail);
}

}  // namespace

Result<void> Patcher::undo_redirect() {
  if (redirected.address == 0) return {};
  const ByteChange first = {redirected.address, redirected.after[0], redirected.before[0]};
  TextWriter writer;
  if (auto written = writer.apply(std::span(&first, 1)); !written) return written;
  // Behind the return that is there now nothing is executed, once all cores have seen it.
  if (auto synchronised = synchronise_cores(); !synchronised && thread_count() != 1) return synchronised;
  auto written = write_tail(writer, redirected.address, redirected.after, redirected.before);
  if (written) redirected = {};
  return written;
}

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
  Redirected change{at, {}, *code};
  std::copy_n(expected.begin(), change.before.size(), change.before.begin());
  TextWriter writer;
  if (auto written = write_tail(writer, at, change.before, change.after); !written) return written;
  if (auto synchronised = synchronise_cores(); !synchronised && thread_count() != 1) return synchronised;
  const ByteChange first = {at, change.before[0], change.after[0]};
  auto written = writer.apply(std::span(&first, 1));
  if (written) redirected = change;
  return written;
}

}  // namespace calltap::patch
