#include "patch/patcher.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <utility>

#include "isa/system.h"
#include "isa/x86_64/encode.h"
#include "isa/x86_64/sled_forms.h"
#include "patch/core_sync.h"
#include "patch/memory_map.h"
#include "patch/near_memory.h"
#include "patch/text_writer.h"
#include "patch/trap.h"

namespace calltap::patch {
namespace {

namespace native = isa::native;
namespace x86 = isa::x86_64;
using base::Error;
using base::ErrorCode;
using base::Result;
using trampoline::SiteRecord;

constexpr std::uint64_t kPage = 4096;

constexpr std::uint64_t page_down(std::uint64_t a) { return a & ~(kPage - 1); }
constexpr std::uint64_t page_up(std::uint64_t a) { return page_down(a + kPage - 1); }

std::atomic<std::uint32_t> text_lock{0};

const std::uint8_t* memory_at(std::uint64_t address) {
  return reinterpret_cast<const std::uint8_t*>(address);
}

/// A selected site on its way to a record.
struct Job {
  std::uint32_t index = 0;  // in Selection::sites
  std::uint32_t place = 0;  // in its room
  plan::SitePlan plan;
};

static_assert(CT_RECORD_HANDLER == 0, "a stub in the pad jumps through the record's first word");

}  // namespace

/// The steps of Patcher::prepare, each building on the one before.
class Preparation {
 public:
  Preparation(const Selection& selection, ModulePatch& module, base::Array<plan::Range> used)
      : selection_(selection),
        module_(module),
        used_(std::move(used)),
        single_threaded_(thread_count() == 1) {}
  ~Preparation();
  Preparation(const Preparation&) = delete;
  Preparation& operator=(const Preparation&) = delete;

  Result<void> plan_sites();
  Result<void> choose_mirrors();
  /// Room for stubs and records: what the module has left, or new pages.
  Result<void> find_rooms();
  Result<void> write_stubs();
  Result<void> write_mirrors();
  Result<void> collect_text_changes();
  /// From here on nothing fails but the writing of text.
  Result<void> reserve();
  /// The last step: the records are the module's.
  void keep();

  [[nodiscard]] std::size_t count() const { return jobs_.size(); }
  [[nodiscard]] std::uint32_t refused() const { return refused_; }
  [[nodiscard]] std::span<const ByteChange> text_changes() const { return changes_; }

 private:
  [[nodiscard]] const site::Site& site_of(const Job& job) const { return selection_.sites[job.index]; }
  [[nodiscard]] std::uint64_t target(base::LinkAddress a) const {
    return base::to_target(a, selection_.load_bias).value;
  }
  [[nodiscard]] bool is_pristine(const site::Site& site) const;
  [[nodiscard]] bool is_usable(const Job& job) const;
  [[nodiscard]] bool needs(plan::Form form) const;
  void drop_unusable();
  Result<void> choose_mirror(plan::Form form);
  /// For the new records with stubs in the pads, or for the others.
  struct Room {
    ModulePatch::Block block;
    std::uint32_t first = 0;  // of our records in the block
    std::uint32_t count = 0;
    bool is_new = false;
  };
  [[nodiscard]] Room& room_of(const Job& job) { return rooms_[job.plan.stub_in_pad ? 1 : 0]; }
  [[nodiscard]] SiteRecord& record_of(const Job& job) {
    const Room& room = room_of(job);
    return room.block.records[room.first + job.place];
  }
  [[nodiscard]] std::uint64_t stub_of(const Job& job) {
    const Room& room = room_of(job);
    return room.block.stub(room.first + job.place);
  }
  [[nodiscard]] bool has_spare_records(Room& room, bool stubs_in_pads) const;
  [[nodiscard]] plan::Range reach_of_stubs() const;
  void put_stubs_into_pads();
  Result<void> find_room(bool stubs_in_pads);
  void take_places();
  void keep(Room& room);
  /// `jmp stub` of the job, for the place where it will stand.
  [[nodiscard]] Result<x86::Code<x86::kJmpRel32Bytes>> jump_of(const Job& job) {
    return x86::jmp_rel32(base::TargetAddress(target(job.plan.jump_at)), base::TargetAddress(stub_of(job)));
  }
  [[nodiscard]] bool add_code(std::uint64_t at, std::span<const std::uint8_t> code);
  [[nodiscard]] bool add_change(std::uint64_t address, std::uint8_t wanted) {
    return changes_.push_back({address, *memory_at(address), wanted});
  }
  /// Code into pages of ours: plainly while nothing can be executing there, else as text.
  Result<void> write_own(std::uint64_t at, std::span<const std::uint8_t> code, bool pages_are_new);

  const Selection& selection_;
  ModulePatch& module_;
  base::Array<plan::Range> used_;
  bool single_threaded_;
  base::Array<Job> jobs_;
  std::uint32_t refused_ = 0;
  Room rooms_[2];
  bool mirror_is_new_[plan::kForms] = {};
  base::Array<ByteChange> changes_;
};

Preparation::~Preparation() {
  for (const Room& room : rooms_) {
    if (!room.is_new) continue;
    native::system_call(SYS_munmap, static_cast<long>(room.block.mapping.address),
                        static_cast<long>(room.block.mapping.size));
  }
}

/// A debugger's breakpoint or another patcher may have been here: only what is as in the file is ours to
/// change.
bool Preparation::is_pristine(const site::Site& site) const {
  const std::uint64_t size = static_cast<std::uint64_t>(site.unit - site.recorded) + site.entry_bytes;
  const base::LinkAddress begin = std::min(site.recorded, site.entry);
  const auto in_file = selection_.file->at(begin, size);
  return in_file.size() == size && std::memcmp(in_file.data(), memory_at(target(begin)), size) == 0;
}

Result<void> Preparation::plan_sites() {
  for (const std::uint32_t index : selection_.selected) {
    const site::Site& site = selection_.sites[index];
    Job job{index, 0, {}};
    if (site.problem == site::SiteProblem::kNone && is_pristine(site)) {
      job.plan = plan::classify(site, {memory_at(target(site.unit)), site.entry_bytes},
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
        job.plan = plan::classify(site, {memory_at(target(site.unit)), site.entry_bytes}, true);
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
  const std::uint64_t stub_bytes = stubs_in_pads ? 0 : page_up(room.count * x86::kStubBytes);
  const std::uint64_t record_bytes = page_up(room.count * sizeof(SiteRecord));
  const std::uint64_t size = stub_bytes + record_bytes;
  auto mapped = stubs_in_pads ? map_low(size, used_) : map_near(reach_of_stubs(), size, used_);
  if (!mapped) return mapped.error();
  room.block.mapping = {*mapped, size};
  room.block.records = reinterpret_cast<SiteRecord*>(*mapped + stub_bytes);
  room.block.capacity = static_cast<std::uint32_t>(record_bytes / sizeof(SiteRecord));
  if (!stubs_in_pads) {
    room.block.capacity =
        std::min(room.block.capacity, static_cast<std::uint32_t>(stub_bytes / x86::kStubBytes));
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
    std::memcpy(&record.tail, memory_at(unit + 1), sizeof record.tail);
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

void Preparation::keep(Room& room) {
  if (room.count == 0) return;
  if (room.is_new) static_cast<void>(module_.blocks_.push_back(room.block));
  room.is_new = false;
  auto* block = std::find_if(module_.blocks_.begin(), module_.blocks_.end(),
                             [&room](const auto& b) { return b.records == room.block.records; });
  if (block->count == 0 || (block->sorted == block->count &&
                            block->records[block->count - 1].entry < block->records[block->count].entry)) {
    block->sorted = block->count + room.count;
  }
  block->count += room.count;
  module_.size_ += room.count;
}

void Preparation::keep() {
  for (Room& room : rooms_) keep(room);
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
    std::memcpy(unit_bytes, memory_at(unit), unit_size);
    if (plan.convert) std::memcpy(unit_bytes, kConverted, sizeof kConverted);
    for (std::size_t k = 0; k < plan.prepare_count; ++k)
      unit_bytes[plan.prepare[k].offset] = plan.prepare[k].byte;
    for (std::size_t k = 0; k < unit_size; ++k) {
      if (*memory_at(unit + k) != unit_bytes[k]) added = added && add_change(unit + k, unit_bytes[k]);
    }
    if (!added) return ErrorCode::kOutOfMemory;
  }
  const auto by_address = [](const ByteChange& a, const ByteChange& b) { return a.address < b.address; };
  if (!std::is_sorted(changes_.begin(), changes_.end(), by_address)) {
    std::sort(changes_.begin(), changes_.end(), by_address);
  }
  return {};
}

std::uint64_t ModulePatch::Block::stub(std::size_t index) const {
  return mapping.address + index * x86::kStubBytes;
}

ModulePatch::~ModulePatch() {
  const auto unmap = [](const Mapping& m) {
    if (m.size != 0) native::system_call(SYS_munmap, static_cast<long>(m.address), static_cast<long>(m.size));
  };
  for (const Block& block : blocks_) unmap(block.mapping);
  for (const Mapping& mirror : mirrors_) unmap(mirror);
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

void ModulePatch::swap(ModulePatch& other) noexcept {
  std::swap(blocks_, other.blocks_);
  std::swap(size_, other.size_);
  std::swap(displacement_, other.displacement_);
  std::swap(mirrors_, other.mirrors_);
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

Result<void> Patcher::toggle_all(ModulePatch& module, bool on) {
  base::Array<SiteRecord*> records;
  if (!records.reserve(module.size())) return ErrorCode::kOutOfMemory;
  module.for_each([&records](SiteRecord& record) { static_cast<void>(records.push_back(&record)); });
  return toggle(module, records, on);
}

Result<void> Patcher::enable(ModulePatch& module) { return toggle_all(module, true); }

Result<void> Patcher::disable(ModulePatch& module) { return toggle_all(module, false); }

Result<void> Patcher::redirect(std::uint64_t at, std::span<const std::uint8_t> expected, std::uint64_t to) {
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
