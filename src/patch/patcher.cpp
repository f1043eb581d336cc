// What patching has in common on all architectures; the rest of Patcher is in the folder of the architecture.
#include "patch/patcher.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <utility>

#include "isa/system.h"

namespace calltap::patch {
namespace {

namespace native = isa::native;
using base::ErrorCode;
using base::Result;
using trampoline::SiteRecord;

std::atomic<std::uint32_t> text_lock{0};

}  // namespace

/// A debugger's breakpoint or another patcher may have been here: only what is as in the file is ours to
/// change.
bool is_as_in_file(const Selection& selection, const site::Site& site) {
  const std::uint64_t size = static_cast<std::uint64_t>(site.unit - site.recorded) + site.entry_bytes;
  const base::LinkAddress begin = std::min(site.recorded, site.entry);
  const auto in_file = selection.file->at(begin, size);
  const std::uint8_t* loaded = code_at(base::to_target(begin, selection.load_bias).value);
  return in_file.size() == size && std::memcmp(in_file.data(), loaded, size) == 0;
}

std::uint64_t ModulePatch::Block::stub(std::size_t index) const {
  return mapping.address + index * kStubBytes;
}

ModulePatch::~ModulePatch() {
  const auto unmap = [](const Mapping& m) {
    if (m.size != 0) native::system_call(SYS_munmap, static_cast<long>(m.address), static_cast<long>(m.size));
  };
  for (const Block& block : blocks_) unmap(block.mapping);
  for (const Mapping& mirror : mirrors_) unmap(mirror);
}

void ModulePatch::keep(const Block& made, std::uint32_t count, bool is_new) {
  if (is_new) static_cast<void>(blocks_.push_back(made));
  auto* block = std::find_if(blocks_.begin(), blocks_.end(),
                             [&made](const auto& b) { return b.records == made.records; });
  if (block->count == 0 || (block->sorted == block->count &&
                            block->records[block->count - 1].entry < block->records[block->count].entry)) {
    block->sorted = block->count + count;
  }
  block->count += count;
  size_ += count;
}

SiteRecord* ModulePatch::find(std::uint64_t entry) {
  for (const Block& block : blocks_) {
    SiteRecord* sorted_end = block.records + block.sorted;
    SiteRecord* at = std::lower_bound(block.records, sorted_end, entry,
                                      [](const SiteRecord& r, std::uint64_t e) { return r.entry < e; });
    if (at == sorted_end || at->entry != entry) {
      at = std::find_if(sorted_end, block.records + block.count,
                        [entry](const SiteRecord& r) { return r.entry == entry; });
      if (at == block.records + block.count) continue;
    }
    return at;
  }
  return nullptr;
}

std::uint64_t ModulePatch::stub_of(const SiteRecord& record) const {
  for (const Block& block : blocks_) {
    if (!block.stubs_in_pads && &record >= block.records && &record < block.records + block.count) {
      return block.stub(static_cast<std::size_t>(&record - block.records));
    }
  }
  return 0;
}

namespace {

template <class Destinations>
auto find_destination(Destinations& all, const SiteRecord& record) {
  return std::lower_bound(all.begin(), all.end(), &record,
                          [](const Destination& d, const SiteRecord* r) { return d.record < r; });
}

}  // namespace

std::uint64_t ModulePatch::destination_of(const SiteRecord& record) const {
  const auto* at = find_destination(direct_calls_, record);
  return at != direct_calls_.end() && at->record == &record ? at->to : stub_of(record);
}

void ModulePatch::note_destination(const SiteRecord& record, std::uint64_t to) {
  auto* at = find_destination(direct_calls_, record);
  const bool is_known = at != direct_calls_.end() && at->record == &record;
  if (to == stub_of(record)) {
    if (!is_known) return;
    std::copy(at + 1, direct_calls_.end(), at);
    direct_calls_.pop_back();
  } else if (is_known) {
    at->to = to;
  } else {
    const auto place = at - direct_calls_.begin();
    static_cast<void>(direct_calls_.push_back({&record, to}));
    std::rotate(direct_calls_.begin() + place, direct_calls_.end() - 1, direct_calls_.end());
  }
}

void ModulePatch::swap(ModulePatch& other) noexcept {
  std::swap(blocks_, other.blocks_);
  std::swap(size_, other.size_);
  std::swap(displacement_, other.displacement_);
  std::swap(mirrors_, other.mirrors_);
  std::swap(direct_calls_, other.direct_calls_);
  std::swap(has_landing_pads_, other.has_landing_pads_);
  std::swap(restoration_, other.restoration_);
  std::swap(restored_base_, other.restored_base_);
}

Patcher::Patcher() {
  const std::uint64_t all = ~std::uint64_t{0};
  native::system_call(SYS_rt_sigprocmask, 2, reinterpret_cast<long>(&all),
                      reinterpret_cast<long>(&old_signals_), sizeof old_signals_);
  const auto me = static_cast<std::uint32_t>(isa::current_tid());
  for (std::uint32_t unlocked = 0; !text_lock.compare_exchange_weak(unlocked, me, std::memory_order_acquire);
       unlocked = 0) {
    isa::futex_wait(&text_lock, unlocked, 10'000'000, false);
  }
}

Patcher::~Patcher() {
  text_lock.store(0, std::memory_order_release);
  isa::futex_wake(&text_lock, 1, false);
  native::system_call(SYS_rt_sigprocmask, 2, reinterpret_cast<long>(&old_signals_), 0, sizeof old_signals_);
}

Result<void> Patcher::toggle_all(ModulePatch& module, bool on) {
  base::Array<SiteRecord*> records;
  if (!records.reserve(module.size())) return ErrorCode::kOutOfMemory;
  module.for_each([&records](SiteRecord& record) { static_cast<void>(records.push_back(&record)); });
  return toggle(module, records, on);
}

Result<void> Patcher::enable(ModulePatch& module) { return toggle_all(module, true); }

Result<void> Patcher::disable(ModulePatch& module) { return toggle_all(module, false); }

}  // namespace calltap::patch
