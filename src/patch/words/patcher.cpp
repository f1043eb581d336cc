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
bool is_on_in_memory(const SiteRecord& record, std::uint64_t stub) {
  const auto word = switch_of(record, stub);
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
    const auto word = switch_of(*record, module.stub_of(*record));
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
    for (SiteRecord* record : records) record->is_on = is_on_in_memory(*record, module.stub_of(*record));
    return written;
  }
  for (SiteRecord* record : records) record->is_on = on;
  return synchronise_cores();
}

}  // namespace calltap::patch
