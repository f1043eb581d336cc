// Carries plans out: makes stubs, records and mirrors for a module's sites, and switches the sites.
//
//   site  --jmp-->  [pad | mirror]  --jmp-->  stub  --through SiteRecord::handler-->  trampoline
//
// Stubs and mirrors are written before anything jumps to them and never change. docs/patch-protocol.md argues
// each step.
#pragma once

#include <cstdint>
#include <span>

#include "base/array.h"
#include "base/error.h"
#include "plan/plan.h"
#include "site/elf_file.h"
#include "site/sites.h"
#include "trampoline/state.h"

namespace calltap::patch {

enum class SiteState : std::uint8_t { kOff, kOn };

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

  /// One record a patched site, in ascending order of address.
  [[nodiscard]] std::span<trampoline::SiteRecord> records() { return {records_, count_}; }
  [[nodiscard]] std::span<const trampoline::SiteRecord> records() const { return {records_, count_}; }

 private:
  friend class Patcher;
  struct Mapping {
    std::uint64_t address = 0;
    std::uint64_t size = 0;
  };
  static constexpr std::size_t kMaxMappings = plan::kForms + 1;

  void swap(ModulePatch& other) noexcept;
  void add_mapping(std::uint64_t address, std::uint64_t size);

  trampoline::SiteRecord* records_ = nullptr;
  std::size_t count_ = 0;
  std::uint64_t stubs_ = 0;
  Mapping mappings_[kMaxMappings];
  std::size_t mapping_count_ = 0;
};

/// What to patch.
struct Selection {
  const site::ElfFile* file = nullptr;
  std::span<const site::Site> sites;        // all of the module
  std::span<const std::uint32_t> selected;  // indices into `sites`, ascending
  std::uint64_t load_bias = 0;
  std::uint32_t first_function = 0;  // function number of sites[0]
  const void* handler = nullptr;     // SiteRecord::handler
};

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

  /// Plans the selected sites and makes what they need; all are off afterwards. Sites that cannot be done are
  /// left alone and counted. Errors: kOutOfMemory, kNoRoomInReach, kTextUnwritable, kFileRead. On error
  /// nothing jumps anywhere new and `module` is empty.
  base::Result<Counts> prepare(const Selection& selection, ModulePatch& module);

  /// Switches records [begin, end) of the module on or off, in one batch: every page of code is written once,
  /// and cores are synchronised a constant number of times. Records that are in the wanted state already are
  /// skipped. Errors: as TextWriter::apply; kThreadBlocksTrap if a site needs the trap protocol now and a
  /// thread would not survive it. Sites that were switched before the error stay switched.
  base::Result<void> enable(ModulePatch& module, std::size_t begin, std::size_t end);
  base::Result<void> disable(ModulePatch& module, std::size_t begin, std::size_t end);

  /// Writes `jmp to` over code that no thread executes now. For the loader's notification function only.
  base::Result<void> redirect(std::uint64_t at, std::span<const std::uint8_t> expected, std::uint64_t to);

 private:
  base::Result<void> toggle(ModulePatch& module, std::size_t begin, std::size_t end, SiteState wanted);

  std::uint64_t old_signals_ = 0;
};

}  // namespace calltap::patch
