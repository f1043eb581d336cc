// Carries plans out: makes stubs and records for a module's sites, and switches the sites.
//
//   site  --jump-->  [pad | mirror]  --jump-->  stub  --through SiteRecord::handler-->  trampoline
//   site  --jump-->  stub in the pad                  --through SiteRecord::handler-->  trampoline
//
// Stubs and mirrors are written before anything jumps to them and never change. On x86-64 a stub fits into
// the pad if its record has an address of 32 bits: such records are in blocks of their own. Mirrors are for
// x86-64 alone. docs/patch-protocol.md argues each step, docs/patch-protocol-words.md those of AArch64 and
// RISC-V.
#pragma once

#include <cstdint>
#include <span>

#include "base/array.h"
#include "base/error.h"
#include "patch/restore_step.h"
#include "plan/plan.h"
#include "site/elf_file.h"
#include "site/sites.h"
#include "trampoline/state.h"

namespace calltap::patch {

inline const std::uint8_t* code_at(std::uint64_t address) {
  return reinterpret_cast<const std::uint8_t*>(address);
}

/// The same on all architectures, so that a block can be laid out by the number of its records.
inline constexpr std::size_t kStubBytes = 16;

/// CALL_OPS: the site calls this, a direct call's trampoline, or its stub if it is 0.
struct Destination {
  const trampoline::SiteRecord* record = nullptr;
  std::uint64_t to = 0;
};

/// Everything Calltap added to one loaded module. Move-only. Destroying it unmaps stubs, records and mirrors:
/// only when no thread can be in the module any more, or all its sites were off since a quiescent moment.
class ModulePatch {
 public:
  ModulePatch() = default;
  ModulePatch(ModulePatch&& other) noexcept { swap(other); }
  ModulePatch& operator=(ModulePatch&& other) noexcept {
    ModulePatch moved(static_cast<ModulePatch&&>(other));
    swap(moved);
    return *this;
  }
  ModulePatch(const ModulePatch&) = delete;
  ModulePatch& operator=(const ModulePatch&) = delete;
  ~ModulePatch();

  /// Number of patched sites.
  [[nodiscard]] std::size_t size() const { return size_; }
  /// The record of the function at this address, or null if it has not been prepared. Records never move.
  [[nodiscard]] trampoline::SiteRecord* find(std::uint64_t entry);
  /// Calls visit(SiteRecord&) for all, in no order.
  template <class Visit>
  void for_each(Visit visit) {
    for (const Block& block : blocks_) {
      for (std::uint32_t i = 0; i < block.count; ++i) visit(block.records[i]);
    }
  }

 private:
  friend class Patcher;
  friend class Preparation;
  struct Mapping {
    std::uint64_t address = 0;
    std::uint64_t size = 0;
  };
  /// Stubs, unless they are in the pads, and behind them their records, in one mapping. What is left of its
  /// last pages is for sites that are selected later.
  struct Block {
    Mapping mapping;
    trampoline::SiteRecord* records = nullptr;
    std::uint32_t count = 0;
    std::uint32_t capacity = 0;
    std::uint32_t sorted = 0;  // records up to here are in ascending order
    bool stubs_in_pads = false;

    [[nodiscard]] std::uint64_t stub(std::size_t index) const;
  };

  void swap(ModulePatch& other) noexcept;
  /// The next `count` records of the block are in use. There is room for a new block.
  void keep(const Block& made, std::uint32_t count, bool is_new);
  /// The stub of one of its records; 0 if that is in the pad.
  [[nodiscard]] std::uint64_t stub_of(const trampoline::SiteRecord& record) const;
  /// CALL_OPS: what the record's site calls when it is on, its stub or a direct call's trampoline.
  [[nodiscard]] std::uint64_t destination_of(const trampoline::SiteRecord& record) const;
  /// There is room for one more.
  void note_destination(const trampoline::SiteRecord& record, std::uint64_t to);

  base::Array<Block> blocks_;
  std::size_t size_ = 0;
  std::int32_t displacement_[plan::kForms] = {};  // 0: no mirror chosen yet, or none free
  Mapping mirrors_[plan::kForms];
  base::Array<Destination> direct_calls_;  // of the sites that go straight to one, in ascending order
  bool has_landing_pads_ = false;          // AArch64: its code is mapped with BTI where the processor has it
  /// While the code is as in the file: how that was done, so that it can be undone.
  base::Array<RestoreStep> restoration_;
  std::uint64_t restored_base_ = 0;  // of the steps' offsets
};

/// What was loaded from where.
struct LoadedFile {
  const site::ElfFile* file = nullptr;
  std::span<const site::Site> sites;
  std::uint64_t load_bias = 0;
};

/// What to patch.
struct Selection {
  const site::ElfFile* file = nullptr;
  std::span<const site::Site> sites;        // all of the module
  std::span<const std::uint32_t> selected;  // indices into `sites`, ascending
  std::uint64_t load_bias = 0;
  std::uint32_t first_function = 0;        // function number of sites[0]
  const void* handler = nullptr;           // SiteRecord::handler
  const trampoline::OpSet* set = nullptr;  // SiteRecord::set
  bool nobody_is_inside = false;           // the module has been loaded, and nothing of it has run yet
  // CALL_OPS where the site's form allows it, with these instead of the handler and the body. Null: nowhere.
  const void* called_handler = nullptr;
  const void* called_target = nullptr;
};

/// True if memory has the site's bytes as the file does.
bool is_as_in_file(const Selection& selection, const site::Site& site);

struct Counts {
  std::uint32_t prepared = 0;
  std::uint32_t refused = 0;
};

/// Holds the text lock for its life: one patcher at a time in a process. Blocks the thread's signals
/// meanwhile. Not for signal handlers or hooked calls.
class Patcher {
 public:
  Patcher();
  ~Patcher();
  Patcher(const Patcher&) = delete;
  Patcher& operator=(const Patcher&) = delete;

  /// Plans the selected sites, none of which has a record yet, and makes what they need; all are off
  /// afterwards. Sites that cannot be done are left alone and
  /// counted. Errors: kOutOfMemory, kNoRoomInReach, kTextUnwritable, kFileRead. On error nothing jumps
  /// anywhere new and `module` has the records it had.
  base::Result<Counts> prepare(const Selection& selection, ModulePatch& module);

  /// Switches the records on or off, in one batch: every page of code is written once, and cores are
  /// synchronised a constant number of times. Records that are in the wanted state already are skipped.
  /// Errors: as TextWriter::apply; kThreadBlocksTrap if a site needs the trap protocol now and a thread would
  /// not survive it. Sites that were switched before the error stay switched, and say so (SiteRecord::is_on).
  base::Result<void> toggle(ModulePatch& module, std::span<trampoline::SiteRecord* const> records, bool on);
  /// The same for all records of the module.
  base::Result<void> enable(ModulePatch& module);
  base::Result<void> disable(ModulePatch& module);

  /// Sites, on or off, call their destinations where these are in reach, and else their stubs. Before sites
  /// that are on change, all threads are made to see what records say, and afterwards none begins to call
  /// what its site called before. Sites that jump are left alone. Errors: as toggle(); kOutOfMemory.
  base::Result<void> lead(ModulePatch& module, std::span<const Destination> wanted);

  /// Gives the module's code back, byte for byte as in the file, with threads running. All records are off;
  /// they stay, and toggle() on prepares the code again. Returns how many sites keep bytes of ours, harmless
  /// ones, because a thread might stand between them (x86_64/restoration.h); on AArch64 and RISC-V all do.
  /// Errors: kOutOfMemory, as TextWriter::apply, kCoreSyncUnavailable; then the code is between the two.
  base::Result<std::uint32_t> restore(const LoadedFile& loaded, ModulePatch& module);

  /// Calls of the loader's notification function, an empty one, go to `to` from now on. Errors:
  /// kSiteNotPatchable if it does not look as it should, kNoRoomInReach, kTextMismatch, kTextUnwritable,
  /// kCoreSyncUnavailable, kOutOfMemory.
  base::Result<void> redirect(std::uint64_t function, std::uint64_t to);
  /// The notification function is as it was, if it was redirected. Errors: as redirect(); kSiteNotPatchable
  /// on AArch64 and RISC-V.
  base::Result<void> undo_redirect();

 private:
  base::Result<void> toggle_all(ModulePatch& module, bool on);
  /// Takes restore() back.
  base::Result<void> prepare_again(ModulePatch& module);

  std::uint64_t old_signals_ = 0;
};

}  // namespace calltap::patch
