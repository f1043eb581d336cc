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
  plan::SitePlan plan;
};

/// The steps of Patcher::prepare, each building on the one before.
class Preparation {
 public:
  Preparation(const Selection& selection, base::Array<plan::Range> used)
      : selection_(selection), used_(std::move(used)), single_threaded_(thread_count() == 1) {}

  Result<void> plan_sites();
  Result<void> choose_mirrors();
  /// Pages for stubs and records, near the module.
  Result<void> map_stubs();
  Result<void> write_stubs();
  Result<void> map_mirrors();
  Result<void> collect_text_changes();

  [[nodiscard]] std::size_t count() const { return jobs_.size(); }
  [[nodiscard]] std::uint32_t refused() const { return refused_; }
  [[nodiscard]] std::span<const ByteChange> text_changes() const { return changes_; }
  [[nodiscard]] SiteRecord* records() const { return records_; }
  [[nodiscard]] std::uint64_t stubs() const { return stubs_; }

  struct Mirror {
    std::uint64_t address = 0;
    std::uint64_t size = 0;
  };
  [[nodiscard]] Mirror stub_mapping() const { return {stubs_, stub_bytes_ + record_bytes_}; }
  [[nodiscard]] std::span<const Mirror> mirrors() const { return mirrors_; }

 private:
  [[nodiscard]] const site::Site& site_of(const Job& job) const { return selection_.sites[job.index]; }
  [[nodiscard]] std::uint64_t target(base::LinkAddress a) const {
    return base::to_target(a, selection_.load_bias).value;
  }
  [[nodiscard]] bool is_pristine(const site::Site& site) const;
  [[nodiscard]] bool is_usable(const Job& job) const;
  [[nodiscard]] plan::Range range_of(plan::Form form) const;
  void drop_unusable();
  Result<void> choose_mirror(plan::Form form);
  /// `jmp stub` of the job, for the place where it will stand.
  [[nodiscard]] Result<x86::Code<x86::kJmpRel32Bytes>> jump_of(std::size_t i) const {
    return x86::jmp_rel32(base::TargetAddress(target(jobs_[i].plan.jump_at)),
                          base::TargetAddress(stubs_ + i * x86::kStubBytes));
  }
  [[nodiscard]] bool add_change(std::uint64_t address, std::uint8_t wanted) {
    return changes_.push_back({address, *memory_at(address), wanted});
  }

  const Selection& selection_;
  base::Array<plan::Range> used_;
  bool single_threaded_;
  base::Array<Job> jobs_;
  std::uint32_t refused_ = 0;
  std::int32_t displacement_[plan::kForms] = {};
  std::uint64_t stubs_ = 0;
  std::uint64_t stub_bytes_ = 0;
  std::uint64_t record_bytes_ = 0;
  SiteRecord* records_ = nullptr;
  base::Array<Mirror> mirrors_;
  base::Array<ByteChange> changes_;
};

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
    Job job{index, {}};
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

plan::Range Preparation::range_of(plan::Form form) const {
  plan::Range range{~std::uint64_t{0}, 0};
  for (const Job& job : jobs_) {
    if (job.plan.method != plan::Method::kMirror || job.plan.form != form) continue;
    const std::uint64_t unit = target(site_of(job).unit);
    range.begin = std::min(range.begin, unit);
    range.end = std::max(range.end, unit);
  }
  return range;
}

Result<void> Preparation::choose_mirror(plan::Form form) {
  const plan::Range units = range_of(form);
  if (units.end == 0) return {};
  const auto index = static_cast<std::size_t>(form);
  displacement_[index] = plan::choose_displacement(form, units, used_);
  if (displacement_[index] == 0) return {};
  const auto distance = static_cast<std::uint64_t>(std::int64_t{displacement_[index]});
  const std::uint64_t begin = page_down(units.begin + 5 + distance);
  const std::uint64_t size = page_up(units.end + 5 + distance + plan::kMirrorSlack) - begin;
  if (auto mapped = map_at(begin, size, used_); !mapped) {
    displacement_[index] = 0;  // somebody was faster: such sites need the trap protocol
    return {};
  }
  if (!mirrors_.push_back({begin, size})) return ErrorCode::kOutOfMemory;
  return {};
}

Result<void> Preparation::choose_mirrors() {
  // One-byte NOPs for which no mirror is free become 0F 1F 44 while that is safe, so their form comes first.
  if (auto chosen = choose_mirror(plan::Form::kOneByteNops); !chosen) return chosen;
  if (displacement_[static_cast<std::size_t>(plan::Form::kOneByteNops)] == 0 && single_threaded_) {
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
      plan::set_displacement(job.plan, site_of(job), displacement_[static_cast<std::size_t>(job.plan.form)]);
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

Result<void> Preparation::map_stubs() {
  if (jobs_.empty()) return {};
  plan::Range around{~std::uint64_t{0}, 0};
  for (const Job& job : jobs_) {
    const std::uint64_t unit = target(site_of(job).unit);
    const std::uint64_t jump = target(job.plan.jump_at);
    around.begin = std::min({around.begin, unit, jump});
    around.end = std::max({around.end, unit, jump});
  }
  stub_bytes_ = page_up(jobs_.size() * x86::kStubBytes);
  record_bytes_ = page_up(jobs_.size() * sizeof(SiteRecord));
  auto mapped = map_near(around, stub_bytes_ + record_bytes_, used_);
  if (!mapped) return mapped.error();
  stubs_ = *mapped;
  records_ = reinterpret_cast<SiteRecord*>(stubs_ + stub_bytes_);
  return {};
}

Result<void> Preparation::write_stubs() {
  for (std::size_t i = 0; i < jobs_.size(); ++i) {
    const Job& job = jobs_[i];
    const site::Site& site = site_of(job);
    const std::uint64_t at = stubs_ + i * x86::kStubBytes;
    SiteRecord& record = records_[i];
    record.handler = selection_.handler;
    record.unit = target(site.unit);
    record.body = record.unit + job.plan.body_offset;
    record.event_bits = std::uint64_t{selection_.first_function + job.index} << 32 | 1;
    record.off_byte = job.plan.off_byte;
    record.on_byte = job.plan.on_byte;
    record.method = static_cast<std::uint8_t>(job.plan.method);
    if (record.on_byte == x86::kJmpRel8) {
      record.pad_displacement = static_cast<std::uint8_t>(target(job.plan.jump_at) - (record.unit + 2));
    }
    // The trap protocol puts the original bytes back: keep those behind the first.
    std::memcpy(&record.tail, memory_at(record.unit + 1), sizeof record.tail);
    auto code = x86::stub(base::TargetAddress(at),
                          base::TargetAddress(reinterpret_cast<std::uint64_t>(&record)), CT_RECORD_HANDLER);
    if (!code) return code.error();
    std::memcpy(reinterpret_cast<void*>(at), code->data(), code->size());
  }
  return stub_bytes_ == 0 ? Result<void>() : make_executable(stubs_, stub_bytes_);
}

Result<void> Preparation::map_mirrors() {
  for (std::size_t i = 0; i < jobs_.size(); ++i) {
    if (jobs_[i].plan.method != plan::Method::kMirror) continue;
    auto code = jump_of(i);
    if (!code) return code.error();
    std::memcpy(reinterpret_cast<void*>(target(jobs_[i].plan.jump_at)), code->data(), code->size());
  }
  for (const Mirror& mirror : mirrors_) {
    if (auto done = make_executable(mirror.address, mirror.size); !done) return done;
  }
  return {};
}

Result<void> Preparation::collect_text_changes() {
  static constexpr std::uint8_t kConverted[5] = {0x0f, 0x1f, 0x44, 0x00, 0x00};
  for (std::size_t i = 0; i < jobs_.size(); ++i) {
    const plan::SitePlan& plan = jobs_[i].plan;
    const std::uint64_t unit = target(site_of(jobs_[i]).unit);
    const bool in_pad = plan.method != plan::Method::kMirror && target(plan.jump_at) != unit;
    bool added = true;
    if (in_pad) {
      auto code = jump_of(i);
      if (!code) return code.error();
      for (std::size_t k = 0; k < code->size(); ++k) {
        added = added && add_change(target(plan.jump_at) + k, (*code)[k]);
      }
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

}  // namespace

ModulePatch::~ModulePatch() {
  for (std::size_t i = 0; i < mapping_count_; ++i) {
    native::system_call(SYS_munmap, static_cast<long>(mappings_[i].address),
                        static_cast<long>(mappings_[i].size));
  }
}

void ModulePatch::swap(ModulePatch& other) noexcept {
  std::swap(records_, other.records_);
  std::swap(count_, other.count_);
  std::swap(stubs_, other.stubs_);
  std::swap(mappings_, other.mappings_);
  std::swap(mapping_count_, other.mapping_count_);
}

void ModulePatch::add_mapping(std::uint64_t address, std::uint64_t size) {
  if (size != 0) mappings_[mapping_count_++] = {address, size};
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
  Preparation work(selection, std::move(*used));
  ModulePatch made;
  Result<void> done = work.plan_sites();
  if (done) done = work.choose_mirrors();
  if (done) done = work.map_stubs();
  // From here on the mappings belong to `made`, which unmaps them if a step fails.
  made.add_mapping(work.stub_mapping().address, work.stub_mapping().size);
  for (const auto& mirror : work.mirrors()) made.add_mapping(mirror.address, mirror.size);
  if (done) done = work.write_stubs();
  if (done) done = work.map_mirrors();
  if (done) done = work.collect_text_changes();
  if (!done) return done.error();
  TextWriter writer;
  if (auto written = writer.apply(work.text_changes()); !written) return written.error();
  if (thread_count() != 1) {
    if (auto synchronised = synchronise_cores(); !synchronised) return synchronised.error();
  }
  made.records_ = work.records();
  made.count_ = work.count();
  made.stubs_ = work.stubs();
  module = std::move(made);
  return Counts{static_cast<std::uint32_t>(work.count()), work.refused()};
}

Result<void> Patcher::toggle(ModulePatch& module, std::size_t begin, std::size_t end, SiteState wanted) {
  base::Array<ByteChange> changes;
  base::Array<TrapPoke> pokes;
  const auto state = static_cast<std::uint8_t>(wanted);
  if (!changes.reserve(end - begin)) return ErrorCode::kOutOfMemory;
  for (std::size_t i = begin; i < end; ++i) {
    SiteRecord& record = module.records_[i];
    if (record.state == state) continue;
    const bool on = wanted == SiteState::kOn;
    if (record.method != static_cast<std::uint8_t>(plan::Method::kTrap)) {
      const ByteChange change = {record.unit, on ? record.off_byte : record.on_byte,
                                 on ? record.on_byte : record.off_byte};
      if (!changes.push_back(change)) return ErrorCode::kOutOfMemory;
      continue;
    }
    const std::uint64_t stub = module.stubs_ + i * x86::kStubBytes;
    TrapPoke poke;
    poke.address = record.unit;
    poke.resume = on ? stub : record.body;
    std::uint8_t off[5] = {record.off_byte};
    std::memcpy(off + 1, &record.tail, sizeof record.tail);
    std::uint8_t jump[5] = {};
    if (record.on_byte == x86::kJmpRel32) {
      poke.length = 5;
      auto code = x86::jmp_rel32(base::TargetAddress(record.unit), base::TargetAddress(stub));
      if (!code) return code.error();
      std::copy(code->begin(), code->end(), jump);
    } else {
      poke.length = 2;
      jump[0] = record.on_byte;
      jump[1] = record.pad_displacement;
    }
    std::memcpy(poke.before, on ? off : jump, sizeof off);
    std::memcpy(poke.after, on ? jump : off, sizeof off);
    if (!pokes.push_back(poke)) return ErrorCode::kOutOfMemory;
  }
  TextWriter writer;
  if (auto written = writer.apply(changes); !written) return written.error();
  if (auto poked = poke(writer, pokes); !poked) return poked.error();
  for (std::size_t i = begin; i < end; ++i) module.records_[i].state = state;
  return synchronise_cores();
}

Result<void> Patcher::enable(ModulePatch& module, std::size_t begin, std::size_t end) {
  return toggle(module, begin, end, SiteState::kOn);
}

Result<void> Patcher::disable(ModulePatch& module, std::size_t begin, std::size_t end) {
  return toggle(module, begin, end, SiteState::kOff);
}

Result<void> Patcher::redirect(std::uint64_t at, std::span<const std::uint8_t> expected, std::uint64_t to) {
  auto code = x86::jmp_rel32(base::TargetAddress(at), base::TargetAddress(to));
  if (!code) return code.error();
  base::Array<ByteChange> changes;
  for (std::size_t i = 0; i < code->size(); ++i) {
    if (!changes.push_back({at + i, expected[i], (*code)[i]})) return ErrorCode::kOutOfMemory;
  }
  TextWriter writer;
  return writer.apply(changes);
}

}  // namespace calltap::patch
