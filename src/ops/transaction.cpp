#include "ops/transaction.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "ops/direct_calls.h"
#include "site/demangler.h"
#include "trampoline/code.h"

namespace calltap::ops {
namespace {

using base::Array;
using base::Error;
using base::ErrorCode;
using base::Result;
using trampoline::SiteRecord;

std::uint64_t entry_of(const Module& module, const site::Site& site) {
  return base::to_target(site.entry, module.load_bias).value;
}

}  // namespace

Transaction::~Transaction() {
  if (published_) return;
  for (const Change& change : changes_) release_set(*change.after);
}

void Transaction::blame(const Module& module, std::uint64_t entry) {
  char buffer[sizeof failure_.function];
  const std::string_view name = module.function_name(entry, buffer);
  const std::size_t length = std::min(name.size(), sizeof failure_.function - 1);
  std::memmove(failure_.function, name.data(), length);
  failure_.function[length] = '\0';
}

bool Transaction::has_client(const SiteRecord& record) const {
  if (client_.role == Role::kHandlers) return contains(*record.set, client_);
  const SpecialSite* special = find_special(record);
  return special != nullptr && (special->direct == &client_ || special->redirect == &client_);
}

Result<void> Transaction::add_site(Module& module, SiteRecord& record) {
  if (has_client(record)) return staying_.push_back(&record) ? Result<void>() : ErrorCode::kOutOfMemory;
  if (client_.role == Role::kDirect || client_.is_redirect()) {
    SpecialSite* special = make_special(record);
    if (special == nullptr) return ErrorCode::kOutOfMemory;
    if (client_.is_redirect() && special->redirect != nullptr) return ErrorCode::kHasRedirect;
    if (client_.role == Role::kDirect && special->direct != nullptr) return ErrorCode::kHasDirect;
    if (client_.role == Role::kDirect && !take_slot(*special)) return ErrorCode::kTooManyDirect;
  }
  Change change = {&module, &record, record.set, record.set, true, record.is_on != 0};
  if (client_.role == Role::kHandlers) {
    change.after = with_client(*record.set, client_);
    if (change.after == nullptr) return ErrorCode::kOutOfMemory;
  } else if (change.after != &empty_set()) {
    ++const_cast<trampoline::OpSet*>(change.after)->sites;  // a set is released once a change
  }
  if (changes_.push_back(change)) return {};
  release_set(*change.after);
  return ErrorCode::kOutOfMemory;
}

Result<Transaction::Selected> Transaction::add(Module& module, const Matcher& matcher) {
  if (auto opened = open_module(module); !opened) return opened.error();
  site::Demangler demangler(demangle_function(), std::free);
  Array<std::uint32_t> selected;
  Array<std::uint32_t> unprepared;
  for (std::uint32_t i = 0; i < module.sites.size(); ++i) {
    const site::Site& site = module.sites[i];
    const std::uint64_t entry = entry_of(module, site);
    filter::FunctionName function{module.name(), {}, {}};
    char buffer[512];
    if (matcher.needs_symbol()) {
      function.symbol = module.function_name(entry, buffer);
      function.signature = matcher.needs_signature() ? demangler.demangle(function.symbol) : function.symbol;
    }
    if (!matcher.selects(function, entry)) continue;
    if (!selected.push_back(i)) return ErrorCode::kOutOfMemory;
    if (module.patch.find(entry) == nullptr && !unprepared.push_back(i)) return ErrorCode::kOutOfMemory;
  }
  if (!unprepared.empty()) {
    patch::Selection selection;
    selection.file = &module.file;
    selection.sites = module.sites;
    selection.selected = unprepared;
    selection.load_bias = module.load_bias;
    selection.first_function = module.first_function;
    selection.handler = trampoline::code().pass;
    selection.set = &empty_set();
    patch::Patcher patcher;
    if (auto prepared = patcher.prepare(selection, module.patch); !prepared) return prepared.error();
  }
  Selected count;
  for (const std::uint32_t i : selected) {
    const std::uint64_t entry = entry_of(module, module.sites[i]);
    SiteRecord* record = module.patch.find(entry);
    if (record == nullptr) {
      ++count.refused;
      char buffer[512];
      if (!matcher.is_exact({module.name(), module.function_name(entry, buffer), {}}, entry)) continue;
      blame(module, entry);
      const site::SiteProblem problem = module.sites[i].problem;
      if (problem != site::SiteProblem::kNone) failure_.reason = site::text(problem);
      return Error(ErrorCode::kSiteNotPatchable, 0, entry);
    }
    ++count.attachable;
    if (auto added = add_site(module, *record); !added) {
      blame(module, entry);
      return Error(added.error().code, 0, entry);
    }
  }
  std::sort(staying_.begin(), staying_.end());
  return count;
}

Result<void> Transaction::remove_rest(Module& module) {
  Result<void> done;
  module.patch.for_each([&](SiteRecord& record) {
    if (!done || !has_client(record)) return;
    if (std::binary_search(staying_.begin(), staying_.end(), &record)) return;
    Change change = {&module, &record, record.set, record.set, false, record.is_on != 0};
    if (client_.role == Role::kHandlers) {
      change.after = without_client(*record.set, client_);
      if (change.after == nullptr) done = ErrorCode::kOutOfMemory;
    } else if (change.after != &empty_set()) {
      ++const_cast<trampoline::OpSet*>(change.after)->sites;
    }
    if (!done) return;
    if (!changes_.push_back(change)) {
      release_set(*change.after);
      done = ErrorCode::kOutOfMemory;
    }
  });
  return done;
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

bool Transaction::is_wanted(const SiteRecord& record) {
  if (record.set->count != 0) return true;
  const SpecialSite* special = find_special(record);
  return special != nullptr && (special->direct != nullptr || special->redirect != nullptr);
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

Result<void> Transaction::publish() {
  for (const Change& change : changes_) apply(change, true);
  Result<void> done = toggle(true, false);
  published_ = true;
  if (!done) {
    failure_.was_published = true;
    for (const Change& change : changes_) apply(change, false);
    static_cast<void>(toggle(false, true));
    for (const Change& change : changes_) release_set(*change.after);
    return done;
  }
  // What cannot be switched off stays on without clients: it runs as if it were off.
  static_cast<void>(toggle(false, false));
  for (const Change& change : changes_) release_set(*change.before);
  return {};
}

}  // namespace calltap::ops
