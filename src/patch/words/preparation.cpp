#include "patch/words/preparation.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "isa/system.h"
#include "patch/memory_map.h"
#include "patch/near_memory.h"
#include "patch/words/forms.h"
#include "patch/words/single_thread.h"

namespace calltap::patch {
namespace {

namespace native = isa::native;
using base::ErrorCode;
using base::Result;
using trampoline::SiteRecord;

/// What is closer together than this either finds room or does not.
constexpr std::uint64_t kClose = std::uint64_t{1} << 20;

/// What a site with CALL_OPS has before its entry.
std::array<std::uint8_t, 8> literal_of(const SiteRecord& record) {
  std::array<std::uint8_t, 8> bytes;
  const auto address = reinterpret_cast<std::uint64_t>(&record);
  std::memcpy(bytes.data(), &address, sizeof address);
  return bytes;
}

std::uint64_t page_up(std::uint64_t bytes) { return (bytes + page_bytes() - 1) & ~(page_bytes() - 1); }

}  // namespace

Preparation::Preparation(const Selection& selection, ModulePatch& module, base::Array<plan::Range> used)
    : selection_(selection),
      module_(module),
      used_(std::move(used)),
      nobody_is_inside_(selection.nobody_is_inside || is_single_threaded()) {}

Preparation::~Preparation() {
  for (const Room& room : rooms_) {
    if (!room.is_new) continue;
    native::system_call(SYS_munmap, static_cast<long>(room.block.mapping.address),
                        static_cast<long>(room.block.mapping.size));
  }
}

std::uint64_t Preparation::unit_of(const Job& job) const {
  return base::to_target(selection_.sites[job.index].unit, selection_.load_bias).value;
}

/// A form that is prepared once wants a time when no thread can be inside the site. Calls leave no room for
/// the landing pad that the body needs where pages are guarded.
plan::WordForm Preparation::choose_form(const site::Site& site, std::uint64_t unit) const {
  const bool is_guarded = selection_.file->needs_landing_pads();
  const auto plan = plan::classify_words(kMachine, site, {code_at(unit), site.entry_bytes}, is_guarded);
  const bool may_call = selection_.called_handler != nullptr && nobody_is_inside_ && !is_guarded;
  return may_call && plan.call.method == plan::Method::kCall ? plan.call : plan.jump;
}

Result<void> Preparation::plan_sites() {
  for (const std::uint32_t index : selection_.selected) {
    const site::Site& site = selection_.sites[index];
    Job job;
    job.index = index;
    if (site.problem == site::SiteProblem::kNone && is_as_in_file(selection_, site)) {
      job.form = choose_form(site, unit_of(job));
    }
    const bool comes_too_late = job.form.prepared_once && !nobody_is_inside_;
    if (job.form.method == plan::Method::kNone || comes_too_late) {
      ++refused_;
    } else if (!jobs_.push_back(job)) {
      return ErrorCode::kOutOfMemory;
    }
  }
  std::sort(jobs_.begin(), jobs_.end(),
            [this](const Job& a, const Job& b) { return unit_of(a) < unit_of(b); });
  return {};
}

const ModulePatch::Block* Preparation::spare_block(plan::Range units, std::size_t count) const {
  for (const ModulePatch::Block& block : module_.blocks_) {
    const std::uint64_t end = block.mapping.address + block.mapping.size;
    const bool in_reach =
        block.mapping.address + kStubReach.bytes >= units.end && end <= units.begin + kStubReach.bytes;
    const bool taken = std::any_of(rooms_.begin(), rooms_.end(), [&block](const Room& room) {
      return room.block.records == block.records;
    });
    if (in_reach && !taken && block.capacity - block.count >= count) return &block;
  }
  return nullptr;
}

Result<ModulePatch::Block> Preparation::new_block(plan::Range units, std::size_t count) {
  const std::uint64_t stub_bytes = page_up(count * kStubBytes);
  const std::uint64_t record_bytes = page_up(count * sizeof(SiteRecord));
  auto mapped = map_near(units, stub_bytes + record_bytes, kStubReach, used_);
  if (!mapped) return mapped.error();
  ModulePatch::Block block;
  block.mapping = {*mapped, stub_bytes + record_bytes};
  block.records = reinterpret_cast<SiteRecord*>(*mapped + stub_bytes);
  block.capacity =
      static_cast<std::uint32_t>(std::min(record_bytes / sizeof(SiteRecord), stub_bytes / kStubBytes));
  return block;
}

Result<void> Preparation::use(const Room& room, std::size_t first) {
  if (!rooms_.push_back(room)) {
    if (room.is_new)
      native::system_call(SYS_munmap, static_cast<long>(room.block.mapping.address),
                          static_cast<long>(room.block.mapping.size));
    return ErrorCode::kOutOfMemory;
  }
  for (std::uint32_t i = 0; i < room.count; ++i) {
    jobs_[first + i].room = static_cast<std::uint32_t>(rooms_.size() - 1);
    jobs_[first + i].place = room.block.count + i;
  }
  return {};
}

/// One room for all if there is one that all reach, else one for each half of their addresses.
Result<void> Preparation::find_room(std::size_t first, std::size_t count) {
  if (count == 0) return {};
  const plan::Range units{unit_of(jobs_[first]), unit_of(jobs_[first + count - 1])};
  const auto number = static_cast<std::uint32_t>(count);
  if (const ModulePatch::Block* spare = spare_block(units, count)) return use({*spare, number, false}, first);
  auto block = new_block(units, count);
  if (block) return use({*block, number, true}, first);
  if (block.error().code != ErrorCode::kNoRoomInReach) return block.error();
  if (units.end - units.begin < kClose) {
    without_room_ += count;
    return {};
  }
  const std::uint64_t middle = units.begin + (units.end - units.begin) / 2;
  const Job* begin = jobs_.begin() + first;
  const Job* split = std::find_if(begin, begin + count, [&](const Job& j) { return unit_of(j) > middle; });
  const auto below = static_cast<std::size_t>(split - begin);
  if (auto done = find_room(first, below); !done) return done;
  return find_room(first + below, count - below);
}

Result<void> Preparation::find_rooms() {
  if (auto found = find_room(0, jobs_.size()); !found) return found;
  if (without_room_ != 0 && count() == 0) return ErrorCode::kNoRoomInReach;
  return {};
}

void Preparation::fill(SiteRecord& record, const Job& job) const {
  const site::Site& site = selection_.sites[job.index];
  record = SiteRecord();
  record.handler = selection_.handler;
  record.set = selection_.set;
  record.entry = base::to_target(site.entry, selection_.load_bias).value;
  record.landing_pad_bytes = site.landing_pad_bytes & 0xf;
  record.body_offset = job.form.body_offset;
  record.target = record.body();
  record.event_bits = std::uint64_t{selection_.first_function + job.index} << 32 | 1;
  record.method = static_cast<std::uint8_t>(job.form.method) & 7;
  record.word = {job.form.switch_offset, job.form.switch_bytes, 0};
  if (job.form.method != plan::Method::kCall) return;
  record.handler = selection_.called_handler;
  record.target = reinterpret_cast<std::uint64_t>(selection_.called_target);
}

Result<void> Preparation::write_stubs() {
  for (const Job& job : jobs_) {
    if (job.room == kNoRoom) continue;
    SiteRecord& record = record_of(job);
    fill(record, job);
    const auto code = stub_code(stub_of(job), record);
    if (!code) return code.error();
    if (rooms_[job.room].is_new) {
      std::memcpy(reinterpret_cast<void*>(stub_of(job)), code->data(), code->size());
    } else if (!add_words(changes_, stub_of(job), *code)) {
      return ErrorCode::kOutOfMemory;
    }
  }
  for (const Room& room : rooms_) {
    if (!room.is_new) continue;
    const std::uint64_t stubs = room.block.mapping.address;
    const std::uint64_t size = reinterpret_cast<std::uint64_t>(room.block.records) - stubs;
    clean_caches(stubs, room.count * kStubBytes);
    if (auto done = make_executable(stubs, size); !done) return done;
  }
  return {};
}

Result<void> Preparation::collect_text_changes() {
  for (const Job& job : jobs_) {
    if (job.room == kNoRoom) continue;
    const auto code = prepared_code(job.form, unit_of(job), stub_of(job));
    if (!code) return code.error();
    if (!add_words(changes_, code->address, std::span(code->bytes).first(code->size)))
      return ErrorCode::kOutOfMemory;
    if (job.form.method != plan::Method::kCall) continue;
    const auto literal = literal_of(record_of(job));
    if (!add_words(changes_, record_of(job).entry - literal.size(), literal)) return ErrorCode::kOutOfMemory;
  }
  std::sort(changes_.begin(), changes_.end(),
            [](const WordChange& a, const WordChange& b) { return a.address < b.address; });
  return {};
}

Result<void> Preparation::reserve() {
  if (!module_.blocks_.reserve(module_.blocks_.size() + rooms_.size())) return ErrorCode::kOutOfMemory;
  return {};
}

void Preparation::keep() {
  for (Room& room : rooms_) {
    module_.keep(room.block, room.count, room.is_new);
    room.is_new = false;
  }
}

}  // namespace calltap::patch
