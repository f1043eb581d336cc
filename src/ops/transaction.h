// One change of clients at many sites: all or nothing.
#pragma once

#include "base/array.h"
#include "ops/engine.h"
#include "ops/op_sets.h"

namespace calltap::ops {

/// Which sites that are prepared from now on get CALL_OPS, if they have the form for it and nobody can be
/// inside: those whose first client is called in fewer instructions then, which is the default, all, or none.
enum class UseCalls : std::uint8_t { kWhereBetter, kAlways, kNever };
/// For the first constructor of the process.
void use_calls(UseCalls use);

/// For its life, modules that are prepared have just been loaded, and nothing of them has run yet.
class ModulesAreFresh {
 public:
  ModulesAreFresh();
  ~ModulesAreFresh();
  ModulesAreFresh(const ModulesAreFresh&) = delete;
  ModulesAreFresh& operator=(const ModulesAreFresh&) = delete;
};

/// The client is one of the function's.
[[nodiscard]] bool has_client(const trampoline::SiteRecord& record, const ct_ops& client);

/// The function would be its own trampoline or replacement, and call itself for ever.
[[nodiscard]] inline bool is_own_target(const ct_ops& client, const trampoline::SiteRecord& record,
                                        std::uint64_t target) {
  return client.role != Role::kHandlers && record.entry == target;
}
inline constexpr std::string_view kOwnTargetText = "a function cannot be its own trampoline or replacement";

/// Notes the name of what is at fault; of the function there, in a module that is open.
void blame(Failure& failure, std::string_view name);
void blame(Failure& failure, const Module& module, std::uint64_t entry);
/// Notes the name of the other client.
void blame_other(Failure& failure, const ct_ops& other);
/// Notes whose site it is that cannot be patched, why, and its code. The module is open. kSiteNotPatchable.
base::Error refuse(Failure& failure, const Module& module, const site::Site& site);

/// Calls visit(SiteRecord&) for the module's functions that have the client.
template <class Visit>
void for_each_function(const ct_ops& client, Module& module, Visit visit) {
  if (client.records.size() != client.functions) {
    module.patch.for_each([&](trampoline::SiteRecord& record) {
      if (has_client(record, client)) visit(record);
    });
    return;
  }
  for (trampoline::SiteRecord* record : client.records) {
    if (record->entry >= module.first_entry && record->entry <= module.last_entry) visit(*record);
  }
}
/// The module is about to go.
void forget_functions(ct_ops& client, const Module& module);

/// Collect changes, then publish() them. What was collected and not published is given back with the object.
/// Under the engine's lock.
class Transaction {
 public:
  explicit Transaction(ct_ops& client, Failure& failure) : client_(client), failure_(failure) {}
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  /// What selecting in a module came to.
  struct Selected {
    std::uint32_t attachable = 0;
    std::uint32_t refused = 0;
    std::uint32_t first_refused = 0;  // index of its site
  };
  /// The functions of the module that the filter selects shall have the client; those that have it already
  /// are left alone, and marked as staying. Makes records where there are none. The matcher has entered the
  /// module. Errors: kHasDirect,
  /// kHasRedirect, kMaySetIp, kSiteNotPatchable (named one by one), kOutOfMemory, those of Patcher::prepare.
  base::Result<Selected> add(Module& module, const Matcher& matcher);
  /// The function shall have the client, or lose it, whatever the filter says. Errors: as the other add().
  base::Result<void> add(Module& module, trampoline::SiteRecord& record) { return add_site(module, record); }
  base::Result<void> remove(Module& module, trampoline::SiteRecord& record);
  /// All functions that have the client shall lose it, but for those marked as staying. Errors: kOutOfMemory.
  base::Result<void> remove_rest(Module& module);

  /// Instead of publish(): changes nothing but whose redirect or direct call the functions show, until
  /// forget_owners(), and keeps the slots that these will need.
  void claim();
  /// Does it. Errors: those of Patcher::toggle; everything is as it was then.
  base::Result<void> publish();
  /// After that: notes of the functions that the client leaves out whether the filter selects them; those of
  /// modules that were not added stay as they are, unless these were `all`.
  void note_left_out(bool all);

 private:
  struct Change {
    Module* module = nullptr;
    trampoline::SiteRecord* record = nullptr;
    const trampoline::OpSet* before = nullptr;
    const trampoline::OpSet* after = nullptr;
    bool add = false;
    bool was_on = false;
    bool took_slot = false;  // for its direct call
  };

  base::Result<void> prepare(Module& module, std::span<const std::uint32_t> selected,
                             base::Array<trampoline::SiteRecord*>& records);
  base::Result<void> add_site(Module& module, trampoline::SiteRecord& record);
  void apply(const Change& change, bool forward);
  base::Result<void> lead();
  base::Result<void> toggle(bool on, bool undo);
  [[nodiscard]] static bool is_wanted(const trampoline::SiteRecord& record);
  void note_functions(bool were_known);

  ct_ops& client_;
  Failure& failure_;
  base::Array<Change> changes_;
  base::Array<trampoline::SiteRecord*> staying_;
  base::Array<std::uint32_t> selected_left_out_;  // functions
  std::uint64_t leaving_ = 0;                     // functions that lose the client
  bool published_ = false;
};

}  // namespace calltap::ops
