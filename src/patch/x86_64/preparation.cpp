#include "patch/x86_64/preparation.h"

#include <algorithm>
#include <cstring>

#include "isa/system.h"
#include "isa/x86_64/sled_forms.h"
#include "patch/near_memory.h"

namespace calltap::patch {
namespace {

namespace native = isa::native;
namespace x86 = isa::x86_64;
using base::ErrorCode;
using base::Result;
using trampoline::SiteRecord;

constexpr std::uint64_t kPage = 4096;

constexpr std::uint64_t page_down(std::uint64_t a) { return a & ~(kPage - 1); }
constexpr std::uint64_t page_up(std::uint64_t a) { return page_down(a + kPage - 1); }

static_assert(CT_RECORD_HANDLER == 0, "a stub in the pad jumps through the record's first word");
static_assert(kStubBytes == x86::kStubBytes);

}  // namespace

Preparation::~Preparation() {
  for (const Room& room : rooms_) {
    if (!room.is_new) continue;
    native::system_call(SYS_munmap, static_cast<long>(room.block.mapping.address),
                        static_cast<long>(room.block.mapping.size));
  }
}

Result<void> Preparation::plan_sites() {
  for (const std::uint32_t index : selection_.selected) {
    const site::Site& site = selection_.sites[index];
    Job job{index, 0, {}};
    if (site.problem == site::SiteProblem::kNone && is_as_in_file(selection_, site)) {
      job.plan = plan::classify(site, {code_at(target(site.unit)), site.entry_bytes},
                                selection_.file->is_fixed_position());
    }
    if (job.plan.method == plan::Method::kNone) {
      ++refused_;
    } else if (!jobs_.push_back(job)) {
      return ErrorCode::kOutOfMemory;
    }
  }
  return {};
}

bool Preparation::needs(plan::Form form) const {
  return std::any_of(jobs_.begin(), jobs_.end(), [form](const Job& job) {
    return job.plan.method == plan::Method::kMirror && job.plan.form == form;
  });
}

/// All of the module's sites have the same mirror, whenever they are selected: it covers the whole range, and
/// takes memory only where there are sites.
Result<void> Preparation::choose_mirror(plan::Form form) {
  const auto index = static_cast<std::size_t>(form);
  if (module_.displacement_[index] != 0 || !needs(form)) return {};
  plan::Range units{~std::uint64_t{0}, 0};
  for (const site::Site& site : selection_.sites) {
    units.begin = std::min(units.begin, target(site.unit));
    units.end = std::max(units.end, target(site.unit));
  }
  const std::int32_t displacement = plan::choose_displacement(form, units, used_);
  if (displacement == 0) return {};
  const auto distance = static_cast<std::uint64_t>(std::int64_t{displacement});
  const std::uint64_t begin = page_down(units.begin + 5 + distance);
  const std::uint64_t size = page_up(units.end + 5 + distance + plan::kMirrorSlack) - begin;
  // If somebody was faster, such sites need the trap protocol.
  if (auto mapped = map_at(begin, size, used_); !mapped) return {};
  module_.displacement_[index] = displacement;
  module_.mirrors_[index] = {begin, size};
  mirror_is_new_[index] = true;
  return {};
}

Result<void> Preparation::choose_mirrors() {
  // One-byte NOPs for which no mirror is free become 0F 1F 44 while that is safe, so their form comes first.
  if (auto chosen = choose_mirror(plan::Form::kOneByteNops); !chosen) return chosen;
  if (module_.displacement_[static_cast<std::size_t>(plan::Form::kOneByteNops)] == 0 && single_threaded_) {
    for (Job& job : jobs_) {
      const site::Site& site = site_of(job);
      if (job.plan.method == plan::Method::kMirror && job.plan.form == plan::Form::kOneByteNops) {
        job.plan = plan::classify(site, {code_at(target(site.unit)), site.entry_bytes}, true);
      }
    }
  }
  for (std::size_t form = 0; form < plan::kForms; ++form) {
    if (static_cast<plan::Form>(form) == plan::Form::kOneByteNops) continue;
    if (auto chosen = choose_mirror(static_cast<plan::Form>(form)); !chosen) return chosen;
  }
  for (Job& job : jobs_) {
    if (job.plan.method == plan::Method::kMirror) {
      plan::set_displacement(job.plan, site_of(job),
                             module_.displacement_[static_cast<std::size_t>(job.plan.form)]);
    }
  }
  drop_unusable();
  return {};
}

bool Preparation::is_usable(const Job& job) const { return !job.plan.convert || single_threaded_; }

void Preparation::drop_unusable() {
  std::size_t kept = 0;
  for (const Job& job : jobs_) {
    if (is_usable(job)) {
      jobs_[kept++] = job;
    } else {
      ++refused_;
    }
  }
  while (jobs_.size() > kept) jobs_.pop_back();
}

bool Preparation::has_spare_records(Room& room, bool stubs_in_pads) const {
  for (const ModulePatch::Block& block : module_.blocks_) {
    if (block.stubs_in_pads != stubs_in_pads || block.capacity - block.count < room.count) continue;
    room.block = block;
    room.first = block.count;
    return true;
  }
  return false;
}

/// Between what jumps to stubs that are not in pads.
plan::Range Preparation::reach_of_stubs() const {
  plan::Range around{~std::uint64_t{0}, 0};
  for (const Job& job : jobs_) {
    if (job.plan.stub_in_pad) continue;
    const std::uint64_t unit = target(site_of(job).unit);
    const std::uint64_t jump = target(job.plan.jump_at);
    around.begin = std::min({around.begin, unit, jump});
    around.end = std::max({around.end, unit, jump});
  }
  return around;
}

Result<void> Preparation::find_room(bool stubs_in_pads) {
  Room& room = rooms_[stubs_in_pads ? 1 : 0];
  if (room.count == 0 || has_spare_records(room, stubs_in_pads)) return {};
  const std::uint64_t stub_bytes = stubs_in_pads ? 0 : page_up(room.count * kStubBytes);
  const std::uint64_t record_bytes = page_up(room.count * sizeof(SiteRecord));
  const std::uint64_t size = stub_bytes + record_bytes;
  auto mapped = stubs_in_pads ? map_low(size, used_) : map_near(reach_of_stubs(), size, kRel32Reach, used_);
  if (!mapped) return mapped.error();
  room.block.mapping = {*mapped, size};
  room.block.records = reinterpret_cast<SiteRecord*>(*mapped + stub_bytes);
  room.block.capacity = static_cast<std::uint32_t>(record_bytes / sizeof(SiteRecord));
  if (!stubs_in_pads) {
    room.block.capacity = std::min(room.block.capacity, static_cast<std::uint32_t>(stub_bytes / kStubBytes));
  }
  room.block.stubs_in_pads = stubs_in_pads;
  room.is_new = true;
  return {};
}

void Preparation::put_stubs_into_pads() {
  for (Job& job : jobs_) {
    const site::Site& site = site_of(job);
    if (plan::can_have_stub_in_pad(job.plan, site)) plan::set_stub_in_pad(job.plan, site, true);
  }
}

void Preparation::take_places() {
  for (Room& room : rooms_) room.count = 0;
  for (Job& job : jobs_) job.place = room_of(job).count++;
}

Result<void> Preparation::find_rooms() {
  put_stubs_into_pads();
  take_places();
  if (!find_room(true)) {
    // No room where 32 bits reach: then all stubs are near the module.
    for (Job& job : jobs_) {
      if (job.plan.stub_in_pad) plan::set_stub_in_pad(job.plan, site_of(job), false);
    }
    take_places();
  }
  return find_room(false);
}

bool Preparation::add_code(std::uint64_t at, std::span<const std::uint8_t> code) {
  for (std::size_t k = 0; k < code.size(); ++k) {
    if (!add_change(at + k, code[k])) return false;
  }
  return true;
}

Result<void> Preparation::write_own(std::uint64_t at, std::span<const std::uint8_t> code,
                                    bool pages_are_new) {
  if (pages_are_new) {
    std::memcpy(reinterpret_cast<void*>(at), code.data(), code.size());
    return {};
  }
  if (!add_code(at, code)) return ErrorCode::kOutOfMemory;
  return {};
}

Result<void> Preparation::write_stubs() {
  for (const Job& job : jobs_) {
    const site::Site& site = site_of(job);
    const std::uint64_t unit = target(site.unit);
    SiteRecord& record = record_of(job);
    record = SiteRecord();
    record.handler = selection_.handler;
    record.set = selection_.set;
    record.entry = target(site.entry);
    record.landing_pad_bytes = site.landing_pad_bytes;
    record.body_offset = job.plan.body_offset;
    record.target = record.body();
    record.event_bits = std::uint64_t{selection_.first_function + job.index} << 32 | 1;
    record.off_byte = job.plan.off_byte;
    record.on_byte = job.plan.on_byte;
    record.method = static_cast<std::uint8_t>(job.plan.method);
    // The trap protocol puts the original bytes back: keep those behind the first.
    std::memcpy(&record.tail, code_at(unit + 1), sizeof record.tail);
    if (job.plan.stub_in_pad) continue;
    auto code = x86::stub(base::TargetAddress(stub_of(job)),
                          base::TargetAddress(reinterpret_cast<std::uint64_t>(&record)), CT_RECORD_HANDLER);
    if (!code) return code.error();
    if (auto written = write_own(stub_of(job), *code, rooms_[0].is_new); !written) return written;
  }
  if (!rooms_[0].is_new) return {};
  const ModulePatch::Block& block = rooms_[0].block;
  return make_executable(block.mapping.address,
                         reinterpret_cast<std::uint64_t>(block.records) - block.mapping.address);
}

Result<void> Preparation::write_mirrors() {
  for (const Job& job : jobs_) {
    if (job.plan.method != plan::Method::kMirror) continue;
    auto code = jump_of(job);
    if (!code) return code.error();
    const bool is_new = mirror_is_new_[static_cast<std::size_t>(job.plan.form)];
    if (auto written = write_own(target(job.plan.jump_at), *code, is_new); !written) return written;
  }
  for (std::size_t form = 0; form < plan::kForms; ++form) {
    if (!mirror_is_new_[form]) continue;
    const ModulePatch::Mapping& mirror = module_.mirrors_[form];
    if (auto done = make_executable(mirror.address, mirror.size); !done) return done;
    mirror_is_new_[form] = false;
  }
  return {};
}

Result<void> Preparation::reserve() {
  if (!module_.blocks_.reserve(module_.blocks_.size() + 2)) return ErrorCode::kOutOfMemory;
  return {};
}

void Preparation::keep() {
  for (Room& room : rooms_) {
    if (room.count != 0) module_.keep(room.block, room.count, room.is_new);
    room.is_new = false;
  }
}

Result<void> Preparation::collect_text_changes() {
  static constexpr std::uint8_t kConverted[5] = {0x0f, 0x1f, 0x44, 0x00, 0x00};
  for (const Job& job : jobs_) {
    const plan::SitePlan& plan = job.plan;
    const std::uint64_t unit = target(site_of(job).unit);
    const std::uint64_t jump_at = target(plan.jump_at);
    bool added = true;
    if (plan.stub_in_pad) {
      auto code = x86::pad_stub(base::TargetAddress(reinterpret_cast<std::uint64_t>(&record_of(job))));
      if (!code) return code.error();
      added = add_code(jump_at, *code);
    } else if (plan.method != plan::Method::kMirror && jump_at != unit) {
      auto code = jump_of(job);
      if (!code) return code.error();
      added = add_code(jump_at, *code);
    }
    std::uint8_t unit_bytes[16];
    const std::size_t unit_size = plan.convert ? 5 : plan.prepare_count == 0 ? 0 : 9;
    std::memcpy(unit_bytes, code_at(unit), unit_size);
    if (plan.convert) std::memcpy(unit_bytes, kConverted, sizeof kConverted);
    for (std::size_t k = 0; k < plan.prepare_count; ++k)
      unit_bytes[plan.prepare[k].offset] = plan.prepare[k].byte;
    for (std::size_t k = 0; k < unit_size; ++k) {
      if (*code_at(unit + k) != unit_bytes[k]) added = added && add_change(unit + k, unit_bytes[k]);
    }
    if (!added) return ErrorCode::kOutOfMemory;
  }
  const auto by_address = [](const ByteChange& a, const ByteChange& b) { return a.address < b.address; };
  if (!std::is_sorted(changes_.begin(), changes_.end(), by_address)) {
    std::sort(changes_.begin(), changes_.end(), by_address);
  }
  return {};
}

}  // namespace calltap::patch
