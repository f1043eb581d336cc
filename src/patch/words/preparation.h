// The steps of Patcher::prepare on AArch64 and RISC-V.
#pragma once

#include <cstdint>
#include <span>

#include "base/array.h"
#include "base/error.h"
#include "patch/patcher.h"
#include "patch/words/word_writer.h"
#include "plan/word_plan.h"
#include "trampoline/state.h"

namespace calltap::patch {

/// Each step builds on the one before.
class Preparation {
 public:
  Preparation(const Selection& selection, ModulePatch& module, base::Array<plan::Range> used);
  ~Preparation();
  Preparation(const Preparation&) = delete;
  Preparation& operator=(const Preparation&) = delete;

  base::Result<void> plan_sites();
  /// Room for stubs and records, in reach of the sites that they are for: what the module has left, or new
  /// pages. Sites for which there is none are refused; kNoRoomInReach if there is none for any.
  base::Result<void> find_rooms();
  base::Result<void> write_stubs();
  base::Result<void> collect_text_changes();
  /// From here on nothing fails but the writing of text.
  base::Result<void> reserve();
  /// The last step: the records are the module's.
  void keep();

  [[nodiscard]] std::size_t count() const { return jobs_.size() - without_room_; }
  [[nodiscard]] std::uint32_t refused() const { return refused_ + static_cast<std::uint32_t>(without_room_); }
  [[nodiscard]] std::span<const WordChange> text_changes() const { return changes_; }

 private:
  static constexpr std::uint32_t kNoRoom = ~std::uint32_t{0};

  /// A selected site on its way to a record.
  struct Job {
    std::uint32_t index = 0;  // in Selection::sites
    std::uint32_t room = kNoRoom;
    std::uint32_t place = 0;  // of the record in its block
    plan::WordForm form;
  };
  struct Room {
    ModulePatch::Block block;
    std::uint32_t count = 0;  // of our records
    bool is_new = false;
  };

  [[nodiscard]] std::uint64_t unit_of(const Job& job) const;
  [[nodiscard]] plan::WordForm choose_form(const site::Site& site, std::uint64_t unit) const;
  [[nodiscard]] trampoline::SiteRecord& record_of(const Job& job) {
    return rooms_[job.room].block.records[job.place];
  }
  [[nodiscard]] std::uint64_t stub_of(const Job& job) { return rooms_[job.room].block.stub(job.place); }
  base::Result<void> find_room(std::size_t first, std::size_t count);
  /// A block of the module that has room for so many stubs, within reach of all of `units`, or null.
  [[nodiscard]] const ModulePatch::Block* spare_block(plan::Range units, std::size_t count) const;
  base::Result<ModulePatch::Block> new_block(plan::Range units, std::size_t count);
  base::Result<void> use(const Room& room, std::size_t first);
  void fill(trampoline::SiteRecord& record, const Job& job) const;

  const Selection& selection_;
  ModulePatch& module_;
  base::Array<plan::Range> used_;
  bool nobody_is_inside_;
  base::Array<Job> jobs_;  // in ascending order of address
  std::uint32_t refused_ = 0;
  std::size_t without_room_ = 0;
  base::Array<Room> rooms_;
  base::Array<WordChange> changes_;
};

}  // namespace calltap::patch
