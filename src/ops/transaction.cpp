#include "ops/transaction.h"

#include <algorithm>
#include <cstring>

#include "ops/direct_calls.h"
#include "ops/left_out.h"
#include "ops/quiescence.h"
#include "ops/selection.h"
#include "patch/memory_map.h"
#include "trampoline/code.h"

namespace calltap::ops {
namespace {

using base::Array;
using base::Error;
using base::ErrorCode;
using base::Result;
using trampoline::SiteRecord;

/// As many as one page holds the addresses of. Changing more takes longer than looking at all.
constexpr std::size_t kFewFunctions = 512;

/// Drops what the predicate holds for, and the memory with the last.
template <class Predicate>
void drop_records(ct_ops& client, Predicate gone) {
  SiteRecord** end = std::remove_if(client.records.begin(), client.records.end(), gone);
  while (client.records.end() != end) client.records.pop_back();
  if (client.records.empty()) client.records = {};
}

template <std::size_t kSize>
void copy_text(char (&to)[kSize], std::string_view text) {
  const std::size_t length = std::min(text.size(), kSize - 1);
  std::memmove(to, text.data(), length);
  to[length] = '\0';
}

/// What is loaded at the entry, up to the end of the page: a wrong entry may be anywhere.
void note_code(Failure& failure, std::uint64_t entry) {
  constexpr std::uint64_t kPage = 4096;
  failure.code_bytes = 0;
  const auto executable = patch::is_executable_memory(entry);
  if (!executable || !*executable) return;
  failure.code_bytes =
      static_cast<std::uint8_t>(std::min<std::uint64_t>(sizeof failure.code, kPage - entry % kPage));
  std::memcpy(failure.code, reinterpret_cast<const void*>(entry), failure.code_bytes);
}

}  // namespace

void blame(Failure& failure, std::string_view name) { copy_text(failure.function, name); }

void blame(Failure& failure, const Module& module, std::uint64_t entry) {
  char buffer[sizeof failure.function];
  blame(failure, module.function_name(entry, buffer));
}

void blame_other(Failure& failure, const ct_ops& other) {
  copy_text(failure.client, other.is_recorder ? "recorder" : other.name);
  failure.has_client = true;
}

base::Error refuse(Failure& failure, const Module& module, const site::Site& site) {
  const std::uint64_t entry = module.entry_of(site);
  blame(failure, module, entry);
  note_code(failure, entry);
  failure.reason = site::text(site.problem);
  if (site.problem == site::SiteProblem::kNone) {
    // The file's is fine, but not what is loaded.
    const auto in_file = module.file.at(site.entry, failure.code_bytes);
    const bool as_in_file = std::equal(in_file.begin(), in_file.end(), failure.code);
    failure.reason =
        as_in_file ? "no form of NOPs that can be switched" : "the loaded code is not as in the file";
  }
  return base::Error(base::ErrorCode::kSiteNotPatchable, 0, entry);
}

bool has_client(const SiteRecord& record, const ct_ops& client) {
  if (client.role == Role::kHandlers) return contains(*record.set, client);
  const SpecialSite* special = find_special(record);
  return special != nullptr && (special->direct == &client || special->redirect == &client);
}

void forget_functions(ct_ops& client, const Module& module) {
  drop_records(client, [&](const SiteRecord* record) {
    return record->entry >= module.first_entry && record->entry <= module.last_entry;
  });
}

namespace {

UseCalls calls_used = UseCalls::kWhereBetter;
bool modules_are_fresh = false;

/// Entry handlers and direct calls alone take fewer instructions by CALL_OPS, everything else more
/// (docs/performance.md).
bool suits_calls(const ct_ops& client) {
  if (calls_used != UseCalls::kWhereBetter) return calls_used == UseCalls::kAlways;
  if (client.role == Role::kDirect) return true;
  return client.role == Role::kHandlers && !client.wants_exit && !client.is_recorder && !client.is_redirect();
}

}  // namespace

void use_calls(UseCalls use) { calls_used = use; }

ModulesAreFresh::ModulesAreFresh() { modules_are_fresh = true; }
ModulesAreFresh::~ModulesAreFresh() { modules_are_fresh = false; }

Transaction::~Transaction() {
  if (published_) return;
  while (!changes_.empty()) {
    const Change& change = changes_.back();
    if (change.took_slot) give_slot_back(*change.record);  // the newest first
    release_set(*change.after);
    changes_.pop_back();
  }
}

Result<void> Transaction::add_site(Module& module, SiteRecord& record) {
  if (has_client(record, client_))
    return staying_.push_back(&record) ? Result<void>() : ErrorCode::kOutOfMemory;
  if (is_own_target(client_, record, client_.target_function)) {
    failure_.reason = kOwnTargetText;
    return ErrorCode::kInvalidArgument;
  }
  bool took_slot = false;
  if (client_.role == Role::kDirect || client_.is_redirect()) {
    SpecialSite* special = make_special(record);
    if (special == nullptr) return ErrorCode::kOutOfMemory;
    if (client_.is_redirect() && special->redirect != nullptr) {
      blame_other(failure_, *special->redirect);
      return special->redirect->role == Role::kRedirect ? ErrorCode::kHasRedirect : ErrorCode::kMaySetIp;
    }
    if (client_.role == Role::kDirect && special->direct != nullptr) {
      blame_other(failure_, *special->direct);
      return ErrorCode::kHasDirect;
    }
    took_slot = client_.role == Role::kDirect && special->slot == SpecialSite::kNoSlot;
    if (took_slot && !take_slot(*special)) return ErrorCode::kTooManyDirect;
    if (client_.role == Role::kDirect) clear_slot(*special);
  }
  Change change = {&module, &record, record.set, record.set, true, record.is_on != 0, took_slot};
  if (client_.role == Role::kHandlers) {
    change.after = with_client(*record.set, client_);
    if (change.after == nullptr) return ErrorCode::kOutOfMemory;
  } else if (change.after != &empty_set()) {
    ++const_cast<trampoline::OpSet*>(change.after)->sites;  // a set is released once a change
  }
  if (changes_.push_back(change)) return {};
  if (took_slot) give_slot_back(record);
  release_set(*change.after);
  return ErrorCode::kOutOfMemory;
}

Result<Transaction::Selected> Transaction::add(Module& module, const Matcher& matcher) {
  if (auto opened = open_module(module); !opened) return opened.error();
  Array<std::uint32_t> selected;
  if (auto done = select_sites(module, matcher, selected); !done) return done.error();
  Array<SiteRecord*> records;
  if (auto prepared = prepare(module, selected, records); !prepared) return prepared.error();
  Selected count;
  const SiteRecord* last = nullptr;
  for (std::size_t k = 0; k < selected.size(); ++k) {
    const std::uint32_t i = selected[k];
    const std::uint64_t entry = module.entry_of(module.sites[i]);
    SiteRecord* record = records[k] != nullptr ? records[k] : module.patch.find(entry);
    if (record == nullptr) {
      if (count.refused++ == 0) count.first_refused = i;
      char buffer[512];
      if (!matcher.is_exact(module.function_name(entry, buffer), entry)) continue;
      return refuse(failure_, module, module.sites[i]);
    }
    ++count.attachable;
    if (record == last) continue;  // recorded twice
    last = record;
    if (find_left_out(client_, function_of(*record)) != nullptr) {
      if (!selected_left_out_.push_back(function_of(*record))) return ErrorCode::kOutOfMemory;
      continue;
    }
    if (auto added = add_site(module, *record); !added) {
      blame(failure_, module, entry);
      return Error(added.error().code, 0, entry);
    }
  }
  return count;
}

/// Finds the records of the selected sites, null where there were none, and makes those.
Result<void> Transaction::prepare(Module& module, std::span<const std::uint32_t> selected,
                                  Array<SiteRecord*>& records) {
  Array<std::uint32_t> unprepared;
  if (!records.reserve(selected.size())) return ErrorCode::kOutOfMemory;
  for (const std::uint32_t i : selected) {
    SiteRecord* record = module.patch.find(module.entry_of(module.sites[i]));
    if (!records.push_back(record)) return ErrorCode::kOutOfMemory;
    if (record == nullptr && !unprepared.push_back(i)) return ErrorCode::kOutOfMemory;
  }
  if (unprepared.empty()) return {};
  patch::Selection selection;
  selection.file = &module.file;
  selection.sites = module.sites;
  selection.selected = unprepared;
  selection.load_bias = module.load_bias;
  selection.first_function = module.first_function;
  selection.handler = trampoline::code().pass;
  selection.set = &empty_set();
  selection.nobody_is_inside = modules_are_fresh;
  if (suits_calls(client_)) {
    selection.called_handler = trampoline::code().called.pass;
    selection.called_target = trampoline::code().called.body;
  }
  patch::Patcher patcher;
  if (auto prepared = patcher.prepare(selection, module.patch); !prepared) return prepared.error();
  return {};
}

Result<void> Transaction::remove_rest(Module& module) {
  if (staying_.size() + leaving_ == client_.functions) return {};  // there is no rest
  if (!std::is_sorted(staying_.begin(), staying_.end())) std::sort(staying_.begin(), staying_.end());
  Result<void> done;
  for_each_function(client_, module, [&](SiteRecord& record) {
    if (!done || std::binary_search(staying_.begin(), staying_.end(), &record)) return;
    done = remove(module, record);
  });
  return done;
}

Result<void> Transaction::remove(Module& module, SiteRecord& record) {
  Change change = {&module, &record, record.set, record.set, false, record.is_on != 0, false};
  if (client_.role == Role::kHandlers) {
    change.after = without_client(*record.set, client_);
    if (change.after == nullptr) return ErrorCode::kOutOfMemory;
  } else if (change.after != &empty_set()) {
    ++const_cast<trampoline::OpSet*>(change.after)->sites;
  }
  if (!changes_.push_back(change)) {
    release_set(*change.after);
    return ErrorCode::kOutOfMemory;
  }
  ++leaving_;
  return {};
}

void Transaction::note_left_out(bool all) {
  std::sort(selected_left_out_.begin(), selected_left_out_.end());
  for (LeftOut& entry : client_.left_out) {
    const bool found =
        std::binary_search(selected_left_out_.begin(), selected_left_out_.end(), entry.function);
    entry.is_selected = found || (!all && entry.is_selected);
  }
}

void Transaction::apply(const Change& change, bool forward) {
  SiteRecord& record = *change.record;
  const bool add = change.add == forward;
  if (SpecialSite* special = find_special(record)) {
    ct_ops* now = add ? &client_ : nullptr;
    if (client_.role == Role::kDirect) special->direct = now;
    if (client_.is_redirect()) special->redirect = now;
    special->was_modified = special->was_modified || add;
  }
  __atomic_store_n(&record.set, forward ? change.after : change.before, __ATOMIC_RELEASE);
  publish_handler(record);
  add ? ++client_.functions : --client_.functions;
}

void Transaction::claim() {
  for (Change& change : changes_) {
    change.took_slot = false;
    SpecialSite* special = find_special(*change.record);
    if (special == nullptr) continue;
    if (client_.role == Role::kDirect) special->direct = &client_;
    if (client_.is_redirect()) special->redirect = &client_;
  }
}

bool Transaction::is_wanted(const SiteRecord& record) {
  if (record.set->count != 0) return true;
  const SpecialSite* special = find_special(record);
  return special != nullptr && (special->direct != nullptr || special->redirect != nullptr);
}

/// Sites with CALL_OPS and nothing but a direct call go straight to it, others do not.
Result<void> Transaction::lead() {
  for (std::size_t i = 0; i < changes_.size();) {
    Module* module = changes_[i].module;
    Array<patch::Destination> wanted;
    for (; i < changes_.size() && changes_[i].module == module; ++i) {
      const SiteRecord& record = *changes_[i].record;
      if (calls_stub(record) && !wanted.push_back({&record, lone_direct(record)}))
        return ErrorCode::kOutOfMemory;
    }
    if (wanted.empty()) continue;
    patch::Patcher patcher;
    if (auto led = patcher.lead(module->patch, wanted); !led) return led;
  }
  return {};
}

/// Switches the sites that are not as they should be, a module at a time. `undo`: only those that were off
/// before.
Result<void> Transaction::toggle(bool on, bool undo) {
  Result<void> done;
  for (std::size_t i = 0; i < changes_.size();) {
    Module* module = changes_[i].module;
    Array<SiteRecord*> records;
    for (; i < changes_.size() && changes_[i].module == module; ++i) {
      SiteRecord* record = changes_[i].record;
      if (undo && changes_[i].was_on) continue;
      if ((record->is_on != 0) == on || is_wanted(*record) != on) continue;
      if (!records.push_back(record)) return ErrorCode::kOutOfMemory;
    }
    if (records.empty()) continue;
    patch::Patcher patcher;
    if (auto toggled = patcher.toggle(module->patch, records, on); !toggled) done = toggled;
    if (!done && !undo) return done;
  }
  return done;
}

/// Brings the client's list of records up to date.
void Transaction::note_functions(bool were_known) {
  drop_records(client_, [this](const SiteRecord* record) { return !has_client(*record, client_); });
  if (!were_known || client_.records.size() == client_.functions) return;
  bool noted = client_.functions <= kFewFunctions;
  for (const Change& change : changes_)
    noted = noted && (!change.add || client_.records.push_back(change.record));
  if (!noted) client_.records = {};
}

Result<void> Transaction::publish() {
  if (client_.role == Role::kDirect) {
    if (auto ordered = order_stores(); !ordered) return ordered;  // what is in the slots
  }
  const bool were_known = client_.records.size() == client_.functions;
  for (const Change& change : changes_) apply(change, true);
  Result<void> done = lead();
  if (done) done = toggle(true, false);
  published_ = true;
  if (!done) {
    failure_.was_published = true;
    for (const Change& change : changes_) apply(change, false);
    static_cast<void>(lead());
    static_cast<void>(toggle(false, true));
    for (const Change& change : changes_) release_set(*change.after);
    return done;
  }
  // What cannot be switched off stays on without clients: it runs as if it were off.
  static_cast<void>(toggle(false, false));
  note_functions(were_known);
  for (const Change& change : changes_) release_set(*change.before);
  return {};
}

}  // namespace calltap::ops
