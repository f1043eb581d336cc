// Preparing and switching on AArch64 and RISC-V: one aligned word.
#include "patch/patcher.h"

#include <algorithm>
#include <utility>

#include "isa/sled_words.h"
#include "patch/core_sync.h"
#include "patch/memory_map.h"
#include "patch/words/forms.h"
#include "patch/words/preparation.h"
#include "patch/words/word_writer.h"

namespace calltap::patch {

using base::ErrorCode;
using base::Result;
using trampoline::SiteRecord;

namespace {

/// After an error that came when some words had been written already. Somebody else's word counts as off.
bool is_on_in_memory(const SiteRecord& record, std::uint64_t stub, std::uint64_t to) {
  const auto word = switch_of(record, stub, to);
  return word && isa::word_at({code_at(word->address), word->bytes}, 0, word->bytes) == word->on;
}

}  // namespace

Result<Counts> Patcher::prepare(const Selection& selection, ModulePatch& module) {
  auto used = read_memory_map();
  if (!used) return used.error();
  Preparation work(selection, module, std::move(*used));
  Result<void> done = work.plan_sites();
  if (done) done = work.find_rooms();
  if (done) done = work.write_stubs();
  if (done) done = work.collect_text_changes();
  if (done) done = work.reserve();
  if (!done) return done.error();
  module.has_landing_pads_ = selection.file->needs_landing_pads();
  WordWriter writer(module.has_landing_pads_);
  if (auto written = writer.apply(work.text_changes()); !written) return written.error();
  if (auto synchronised = synchronise_cores(); !synchronised) return synchronised.error();
  work.keep();
  return Counts{static_cast<std::uint32_t>(work.count()), work.refused()};
}

Result<void> Patcher::toggle(ModulePatch& module, std::span<SiteRecord* const> records, bool on) {
  base::Array<WordChange> changes;
  if (!changes.reserve(records.size())) return ErrorCode::kOutOfMemory;
  for (const SiteRecord* record : records) {
    if (record->is_on == on) continue;
    const auto word = switch_of(*record, module.stub_of(*record), module.destination_of(*record));
    if (!word) return word.error();
    const WordChange change = {word->address, word->bytes, on ? word->off : word->on,
                               on ? word->on : word->off};
    if (!changes.push_back(change)) return ErrorCode::kOutOfMemory;
  }
  if (changes.empty()) return {};
  std::sort(changes.begin(), changes.end(),
            [](const WordChange& a, const WordChange& b) { return a.address < b.address; });
  // Whoever comes through a jump sees what its record says by now.
  if (on) {
    if (auto synchronised = synchronise_cores(); !synchronised) return synchronised;
  }
  WordWriter writer(module.has_landing_pads_);
  if (auto written = writer.apply(changes); !written) {
    for (SiteRecord* record : records) {
      record->is_on = is_on_in_memory(*record, module.stub_of(*record), module.destination_of(*record));
    }
    return written;
  }
  for (SiteRecord* record : records) record->is_on = on;
  return synchronise_cores();
}

Result<void> Patcher::lead(ModulePatch& module, std::span<const Destination> wanted) {
  base::Array<WordChange> changes;
  base::Array<Destination> led;
  if (!changes.reserve(wanted.size()) || !led.reserve(wanted.size()) ||
      !module.direct_calls_.reserve(module.direct_calls_.size() + wanted.size()))
    return ErrorCode::kOutOfMemory;
  for (const Destination& destination : wanted) {
    const SiteRecord& record = *destination.record;
    if (record.method != static_cast<std::uint8_t>(plan::Method::kCall)) continue;
    const std::uint64_t stub = module.stub_of(record);
    const std::uint64_t to =
        destination.to != 0 && switch_of(record, stub, destination.to) ? destination.to : stub;
    const std::uint64_t before = module.destination_of(record);
    if (to == before) continue;
    if (record.is_on == 0) {
      module.note_destination(record, to);
      continue;
    }
    const auto old_word = switch_of(record, stub, before);
    const auto word = switch_of(record, stub, to);
    if (!old_word) return old_word.error();
    if (!word) return word.error();
    static_cast<void>(changes.push_back({word->address, word->bytes, old_word->on, word->on}));
    static_cast<void>(led.push_back({&record, to}));
  }
  if (changes.empty()) return {};
  std::sort(changes.begin(), changes.end(),
            [](const WordChange& a, const WordChange& b) { return a.address < b.address; });
  if (auto synchronised = synchronise_cores(); !synchronised) return synchronised;
  WordWriter writer(module.has_landing_pads_);
  const auto written = writer.apply(changes);
  for (const Destination& destination : led) {
    if (is_on_in_memory(*destination.record, module.stub_of(*destination.record), destination.to))
      module.note_destination(*destination.record, destination.to);
  }
  return written ? synchronise_cores() : written;
}

Result<std::uint32_t> Patcher::restore(const LoadedFile& /*loaded*/, ModulePatch& module) {
  return static_cast<std::uint32_t>(module.size());
}

Result<void> Patcher::undo_redirect() { return ErrorCode::kSiteNotPatchable; }

}  // namespace calltap::patch
