// The steps of Patcher::prepare on x86-64.
#pragma once

#include <cstdint>
#include <span>

#include "base/array.h"
#include "base/error.h"
#include "isa/x86_64/encode.h"
#include "patch/memory_map.h"
#include "patch/patcher.h"
#include "patch/x86_64/text_writer.h"
#include "plan/plan.h"
#include "trampoline/state.h"

namespace calltap::patch {

/// A selected site on its way to a record.
struct Job {
  std::uint32_t index = 0;  // in Selection::sites
  std::uint32_t place = 0;  // in its room
  plan::SitePlan plan;
};

/// Each step builds on the one before.
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

  base::Result<void> plan_sites();
  base::Result<void> choose_mirrors();
  /// Room for stubs and records: what the module has left, or new pages.
  base::Result<void> find_rooms();
  base::Result<void> write_stubs();
  base::Result<void> write_mirrors();
  base::Result<void> collect_text_changes();
  /// From here on nothing fails but the writing of text.
  base::Result<void> reserve();
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
  [[nodiscard]] bool is_usable(const Job& job) const;
  [[nodiscard]] bool needs(plan::Form form) const;
  void drop_unusable();
  base::Result<void> choose_mirror(plan::Form form);
  /// For the new records with stubs in the pads, or for the others.
  struct Room {
    ModulePatch::Block block;
    std::uint32_t first = 0;  // of our records in the block
    std::uint32_t count = 0;
    bool is_new = false;
  };
  [[nodiscard]] Room& room_of(const Job& job) { return rooms_[job.plan.stub_in_pad ? 1 : 0]; }
  [[nodiscard]] trampoline::SiteRecord& record_of(const Job& job) {
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
  base::Result<void> find_room(bool stubs_in_pads);
  void take_places();
  /// `jmp stub` of the job, for the place where it will stand.
  [[nodiscard]] base::Result<isa::x86_64::Code<isa::x86_64::kJmpRel32Bytes>> jump_of(const Job& job) {
    return isa::x86_64::jmp_rel32(base::TargetAddress(target(job.plan.jump_at)),
                                  base::TargetAddress(stub_of(job)));
  }
  [[nodiscard]] bool add_code(std::uint64_t at, std::span<const std::uint8_t> code);
  [[nodiscard]] bool add_change(std::uint64_t address, std::uint8_t wanted) {
    return changes_.push_back({address, *code_at(address), wanted});
  }
  /// Code into pages of ours: plainly while nothing can be executing there, else as text.
  base::Result<void> write_own(std::uint64_t at, std::span<const std::uint8_t> code, bool pages_are_new);

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

}  // namespace calltap::patch
