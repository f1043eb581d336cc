#include "ops/engine.h"

#include <link.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <new>
#include <utility>

#include "isa/system.h"
#include "ops/direct_calls.h"
#include "ops/left_out.h"
#include "ops/op_sets.h"
#include "ops/open_modules.h"
#include "ops/originals.h"
#include "ops/quiescence.h"
#include "ops/selection.h"
#include "ops/suggestions.h"
#include "ops/transaction.h"
#include "patch/core_sync.h"
#include "patch/memory_map.h"
#include "trampoline/handlers.h"

namespace calltap::ops {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using trampoline::SiteRecord;

std::atomic<std::uint32_t> engine_lock{0};  // tid of the holder
std::uint32_t lock_depth = 0;               // the holder's
bool started = false;
bool switched_on = true;
bool watches_loader = false;
std::uint64_t last_order = 0;
RecorderAttached recorder_observer = nullptr;
bool observes_all = false;  // modules, also without sites

/// The global switch is the program's. The recorder belongs to whoever records it: it would lose calls
/// uncounted.
bool is_switchable(const ct_ops& client) { return !client.is_recorder; }

void note_module(Failure& failure, const Module& module) {
  module.name().copy(failure.module, sizeof failure.module - 1);
}

bool is_active(const ct_ops& client) {
  return client.state == ClientState::kRegistered && (switched_on || !is_switchable(client));
}

/// Selects in one module and tells the recorder's observer of it.
Result<Transaction::Selected> add_module_sites(Transaction& transaction, const ct_ops& client, Module& module,
                                               Matcher& matcher) {
  matcher.enter(module.name(), module.first_entry, module.last_entry);
  // The observer looks into the file.
  if (matcher.scope() == Matcher::Scope::kNothing && !client.is_recorder) return Transaction::Selected{};
  auto selected = transaction.add(module, matcher);
  if (selected && client.is_recorder && recorder_observer != nullptr) {
    recorder_observer({module, selected->attachable, selected->refused});
  }
  return selected;
}

/// For the recorder's observer alone.
void tell_of_module_without_sites(Module& module) {
  if (!observes_all || recorder_observer == nullptr || !open_module(module)) return;
  recorder_observer({module, 0, 0});
  close_module(module);
}

/// Adds what was selected in a module and cannot be patched. The module is open. Of the recorder's nobody
/// asks: its observer knows.
void note_refused(const ct_ops& client, const Module& module, const Transaction::Selected& selected,
                  Failures& refused) {
  if (selected.refused == 0 || client.is_recorder) return;
  if (refused.count == 0) {
    refused.failure = {};
    refused.error = refuse(refused.failure, module, module.sites[selected.first_refused]);
    note_module(refused.failure, module);
  }
  refused.count += selected.refused;
}

/// Which modules attach() looks at.
enum class Modules { kAll, kNotFailed };

/// Attaches the client to what its filter selects, and detaches it from all else. While the switch is off,
/// only finds out whether that could be done (see Claims).
Result<void> attach(ct_ops& client, const FunctionFilter& filter, Failure& failure, bool publish,
                    Modules modules = Modules::kAll) {
  Matcher matcher;
  if (auto prepared = matcher.prepare(filter); !prepared) return prepared;
  Transaction transaction(client, failure);
  std::uint64_t attachable = 0;
  Failures refused;
  for (Module* m = first_module(); m != nullptr; m = m->next) {
    if (!m->is_usable) continue;
    if (m->site_count == 0) {
      if (client.is_recorder) tell_of_module_without_sites(*m);
      continue;
    }
    if (modules == Modules::kNotFailed && client.failed_modules.contains(*m)) continue;
    auto selected = add_module_sites(transaction, client, *m, matcher);
    if (!selected) {
      // A file that cannot be read any more is as good as a module without sites.
      if (selected.error().code <= ErrorCode::kBuildIdMismatch) continue;
      return selected.error();
    }
    attachable += selected->attachable;
    note_refused(client, *m, *selected, refused);
    if (auto removed = transaction.remove_rest(*m); !removed) return removed;
  }
  if (attachable == 0 && (client.flags & CT_ALLOW_NO_MATCH) == 0) {
    if (refused.count != 0) {
      failure = refused.failure;
      failure.module[0] = '\0';
      return refused.error;
    }
    if (filter.has_lost_all()) {
      failure.reason = "all addresses of the filter have been removed or unloaded";
      return ErrorCode::kNoMatch;
    }
    filter.print(failure.function);
    suggest_names(matcher, failure);
    return ErrorCode::kNoMatch;
  }
  if (!publish) {
    transaction.claim();
  } else if (auto published = transaction.publish(); !published) {
    return published;
  }
  transaction.note_left_out(true);
  client.refused_functions = refused;
  if (modules == Modules::kAll) client.failed_modules.clear();
  return {};
}

Result<void> detach(ct_ops& client, Failure& failure) {
  Transaction transaction(client, failure);
  for (Module* m = first_module(); m != nullptr; m = m->next) {
    if (auto removed = transaction.remove_rest(*m); !removed) return removed;
  }
  return transaction.publish();
}

bool is_executable(std::uint64_t address) {
  if (address == 0) return false;
  auto executable = patch::is_executable_memory(address);
  return executable && *executable;
}

Result<void> attach_to_module(ct_ops& client, Module& module, Failure& failure) {
  Matcher matcher;
  if (auto prepared = matcher.prepare(client.filter); !prepared) return prepared;
  Transaction transaction(client, failure);
  auto selected = add_module_sites(transaction, client, module, matcher);
  if (!selected) {
    return selected.error().code <= ErrorCode::kBuildIdMismatch ? Result<void>() : selected.error();
  }
  if (!is_active(client)) {
    transaction.claim();
  } else if (selected->attachable != 0) {
    if (auto published = transaction.publish(); !published) return published;
  }
  transaction.note_left_out(false);
  note_refused(client, module, *selected, client.refused_functions);
  return {};
}

/// While the switch is off no function has a redirect or a direct call. For the life of this object functions
/// show which they will have, so that conflicts are found when they arise: the switch can then be turned on.
class Claims {
 public:
  Claims() = default;
  ~Claims() {
    if (!switched_on) forget_owners();
  }
  Claims(const Claims&) = delete;
  Claims& operator=(const Claims&) = delete;

  /// Those of all clients but one.
  static Result<void> make(const ct_ops& except) {
    for (ct_ops& client : all_clients()) {
      const bool claims = client.role != Role::kHandlers || client.is_redirect();
      if (&client == &except || client.state != ClientState::kRegistered || is_active(client) || !claims)
        continue;
      if (auto made = make_all(client); !made) return made;
    }
    return {};
  }

 private:
  static Result<void> make_all(ct_ops& client) {
    Matcher matcher;
    if (auto prepared = matcher.prepare(client.filter); !prepared) return prepared;
    for (Module* m = first_module(); m != nullptr; m = m->next) {
      if (!m->is_usable || m->site_count == 0 || client.failed_modules.contains(*m)) continue;
      Failure failure;
      Transaction transaction(client, failure);
      auto selected = add_module_sites(transaction, client, *m, matcher);
      if (selected) {
        transaction.claim();
      } else if (selected.error().code == ErrorCode::kOutOfMemory) {
        return selected.error();
      }
    }
    return {};
  }
};

/// Attaches if the switch is on, else finds out whether that will be possible.
Result<void> attach_if_switched_on(ct_ops& client, const FunctionFilter& filter, Failure& failure) {
  const Claims claims;
  const bool is_on = switched_on || !is_switchable(client);
  if (!is_on) {
    if (auto made = Claims::make(client); !made) return made;
  }
  return attach(client, filter, failure, is_on);
}

/// All functions of the module that a client selects, or none: of two clients that want the same, the one
/// that was registered first gets it.
void attach_to_new_module(Module& module) {
  if (module.site_count == 0) return tell_of_module_without_sites(module);
  const Claims claims;  // of those that come first in this module
  base::Array<ct_ops*> registered;
  for (ct_ops& client : all_clients()) {
    if (client.state != ClientState::kRegistered || registered.push_back(&client)) continue;
    Failure failure;
    note_module(failure, module);
    client.failed_modules.note(module, Error(ErrorCode::kOutOfMemory), failure);
  }
  std::sort(registered.begin(), registered.end(),
            [](const ct_ops* a, const ct_ops* b) { return a->order < b->order; });
  for (ct_ops* client : registered) {
    Failure failure;
    if (auto done = attach_to_module(*client, module, failure); !done) {
      note_module(failure, module);
      client->failed_modules.note(module, done.error(), failure);
    }
  }
}

void forget_module(Module& module) {
  forget_originals();
  module.patch.for_each([](SiteRecord& record) {
    for (std::uint32_t i = 0; i < record.set->count; ++i) {
      --static_cast<ct_ops*>(record.set->members()[i].client)->functions;
    }
    if (const SpecialSite* special = find_special(record)) {
      if (special->direct != nullptr) --special->direct->functions;
      if (special->redirect != nullptr && special->redirect->role == Role::kRedirect)
        --special->redirect->functions;
    }
    release_set(*record.set);
    forget_special(record);
  });
  // What comes to lie at these addresses is another function.
  for (ct_ops& client : all_clients()) {
    if (client.state == ClientState::kUnused) continue;
    forget_functions(client, module);
    forget_left_out(client, module);
    client.failed_modules.forget(module);
    client.filter.remove_addresses(module.first_entry, module.last_entry);
  }
}

/// What has just been loaded is not relocated yet, so a demangler among it must not be called: the next
/// operation finds it.
void loader_changed() {
  const EngineLock lock;
  const OpenModules open;
  const ModulesAreFresh fresh;
  update_modules(attach_to_new_module, forget_module);
  free_unused_sets();
}

/// dl_iterate_phdr holds the lock that every change of the loader's list takes.
int first_look(dl_phdr_info*, std::size_t, void*) {
  update_modules(attach_to_new_module, forget_module);
  return 1;
}

}  // namespace

EngineLock::EngineLock() {
  const auto me = static_cast<std::uint32_t>(isa::current_tid());
  if (engine_lock.load(std::memory_order_relaxed) != me) {
    for (std::uint32_t unlocked = 0;
         !engine_lock.compare_exchange_weak(unlocked, me, std::memory_order_acquire); unlocked = 0) {
      if (unlocked != 0) isa::futex_wait(&engine_lock, unlocked, 10'000'000, false);
    }
  }
  ++lock_depth;
}

EngineLock::~EngineLock() {
  if (--lock_depth != 0) return;
  engine_lock.store(0, std::memory_order_release);
  isa::futex_wake(&engine_lock, 1, false);
}

namespace {

alignas(EngineLock) unsigned char fork_lock[sizeof(EngineLock)];

}  // namespace

void lock_for_fork() { new (fork_lock) EngineLock; }

void unlock_after_fork() { std::launder(reinterpret_cast<EngineLock*>(fork_lock))->~EngineLock(); }

Result<void> start_engine(EngineStart when) {
  const EngineLock lock;
  if (watches_loader) return {};
  if (!started) {
    if (auto done = patch::register_core_sync(); !done) return done;
    trampoline::detect_vectors();
  }
  const OpenModules open;
  static_cast<void>(watch_loader(loader_changed));  // without it, what is loaded later runs unhooked
  watches_loader = true;
  if (when == EngineStart::kProcessStarts) {
    first_look(nullptr, 0, nullptr);
  } else {
    ::dl_iterate_phdr(first_look, nullptr);
  }
  trust_loaded_code();
  started = true;
  return {};
}

Result<std::uint32_t> give_code_back(Failure& failure) {
  const EngineLock lock;
  const OpenModules open;
  std::uint32_t left = 0;
  for (Module* m = first_module(); m != nullptr; m = m->next) {
    bool is_off = m->patch.size() != 0;
    m->patch.for_each([&is_off](const SiteRecord& record) { is_off = is_off && !record.is_on; });
    if (!is_off) continue;
    Result<std::uint32_t> restored = static_cast<std::uint32_t>(m->patch.size());
    if (open_module(*m)) {
      patch::Patcher patcher;
      restored = patcher.restore({&m->file, m->sites, m->load_bias}, m->patch);
    }
    if (!restored) {
      note_module(failure, *m);
      return restored.error();
    }
    left += *restored;
  }
  const auto clients = all_clients();
  const bool has_clients =
      std::any_of(clients.begin(), clients.end(), [](const ct_ops& c) { return c.is_registered(); });
  if (has_clients || !watches_loader) return left;
  patch::Patcher patcher;
  if (patcher.undo_redirect()) watches_loader = false;
  return left;
}

namespace {

constexpr std::string_view kLeavingText = "another thread is unregistering it";

bool is_leaving(const ct_ops& client, std::uint64_t generation) {
  return client.state == ClientState::kLeaving && client.generation == generation;
}

/// What changes what functions do is for those that were named, as in the kernel.
Result<void> check_filter(const ct_ops& client, const FunctionFilter& filter, Failure& failure) {
  if ((client.role == Role::kHandlers && !client.is_redirect()) || !filter.starts_from_all()) return {};
  if (!filter.empty()) failure.reason = "the filter begins with what to leave out, of all functions";
  return ErrorCode::kNoFilter;
}

/// The second half of registering and enabling.
Result<void> attach_registered(ct_ops& client, Failure& failure) {
  if (auto attached = attach_if_switched_on(client, client.filter, failure); !attached) {
    ++client.generation;  // calls may have been seen before it failed: their exits are dropped
    return attached;
  }
  client.state = ClientState::kRegistered;
  return {};
}

}  // namespace

Result<void> check_registered(const ct_ops& client, Role role, Failure& failure) {
  if (!client.is_registered()) {
    if (client.state == ClientState::kLeaving) failure.reason = kLeavingText;
    return ErrorCode::kNotRegistered;
  }
  if (client.role == role) return {};
  constexpr std::string_view kKinds[] = {"it has handlers", "it is a direct call", "it is a redirect"};
  failure.reason = kKinds[static_cast<std::size_t>(client.role)];
  return ErrorCode::kOtherKind;
}

Result<void> check_idle(const ct_ops& client, Failure& failure) {
  if (client.state == ClientState::kLeaving) failure.reason = kLeavingText;
  return client.state == ClientState::kIdle ? Result<void>() : ErrorCode::kAlreadyRegistered;
}

Result<void> register_client(ct_ops& client, Failure& failure) {
  const OpenModules open;
  if (auto idle = check_idle(client, failure); !idle) return idle;
  if (client.role == Role::kHandlers) {
    if (client.entry == nullptr && client.exit == nullptr && !client.is_recorder)
      return ErrorCode::kNoHandler;
  }
  if (auto suits = check_filter(client, client.filter, failure); !suits) return suits;
  if (client.role != Role::kHandlers && !is_executable(client.target)) {
    return Error(ErrorCode::kNotExecutable, 0, client.target);
  }
  if (!switched_on && client.is_permanent()) return ErrorCode::kSwitchedOff;
  client.target_function = meant_function(client.target);
  client.order = ++last_order;
  client.failed_modules.clear();
  client.functions = 0;
  return attach_registered(client, failure);
}

Result<void> begin_unregister(ct_ops& client, Failure& failure) {
  if (client.state == ClientState::kLeaving) failure.reason = kLeavingText;
  if (!client.is_registered()) return ErrorCode::kNotRegistered;
  if (auto detached = detach(client, failure); !detached) return detached;
  ++client.generation;
  client.state = ClientState::kLeaving;
  return {};
}

void finish_unregister(ct_ops& client, std::uint64_t generation, std::uint64_t epoch) {
  if (is_leaving(client, generation)) {
    client.state = ClientState::kIdle;
    client.role = Role::kHandlers;  // the next registration may be of another kind
  }
  free_retired_before(epoch);
}

void cancel_unregister(ct_ops& client, std::uint64_t generation) {
  if (is_leaving(client, generation)) client.state = ClientState::kDisabled;
}

void free_unused_sets() {
  constexpr std::uint64_t kEnoughForABarrier = 64;
  if (retired_sets() >= kEnoughForABarrier) free_retired_before(epoch_reached_by_all());
}

Result<void> disable_client(ct_ops& client, Failure& failure) {
  if (!client.is_registered()) return ErrorCode::kNotRegistered;
  if (client.state == ClientState::kDisabled) return {};
  if (auto detached = detach(client, failure); !detached) return detached;
  ++client.generation;
  client.state = ClientState::kDisabled;
  return {};
}

Result<void> enable_client(ct_ops& client, Failure& failure) {
  const OpenModules open;
  if (!client.is_registered()) return ErrorCode::kNotRegistered;
  if (client.state == ClientState::kRegistered) return {};
  return attach_registered(client, failure);
}

Result<void> set_client_filter(ct_ops& client, const FunctionFilter& filter, Failure& failure) {
  const OpenModules open;
  if (client.is_registered()) {
    if (auto suits = check_filter(client, filter, failure); !suits) return suits;
  }
  FunctionFilter copy;
  if (auto copied = copy.copy_from(filter); !copied) return copied;
  if (client.state == ClientState::kRegistered) {
    if (auto attached = attach_if_switched_on(client, copy, failure); !attached) return attached;
  }
  client.filter = std::move(copy);
  return {};
}

namespace {

/// All functions of the direct call go to the target that it has now.
Result<void> publish_target(ct_ops& client) {
  for (Module* m = first_module(); m != nullptr; m = m->next) {
    base::Array<patch::Destination> wanted;
    bool is_complete = true;
    for_each_function(client, *m, [&](SiteRecord& record) {
      publish_handler(record);
      if (calls_stub(record)) is_complete = wanted.push_back({&record, lone_direct(record)}) && is_complete;
    });
    if (!is_complete) return ErrorCode::kOutOfMemory;
    if (wanted.empty()) continue;
    patch::Patcher patcher;
    if (auto led = patcher.lead(m->patch, wanted); !led) return led;
  }
  return {};
}

}  // namespace

Result<void> modify_direct(ct_ops& client, std::uint64_t target, Failure& failure) {
  const OpenModules open;
  if (auto direct = check_registered(client, Role::kDirect, failure); !direct) return direct;
  if (!is_executable(target)) return Error(ErrorCode::kNotExecutable, 0, target);
  const std::uint64_t function = meant_function(target);
  for (Module* m = first_module(); m != nullptr; m = m->next) {
    const SiteRecord* own = nullptr;
    for_each_function(client, *m, [&](const SiteRecord& record) {
      if (is_own_target(client, record, function)) own = &record;
    });
    if (own == nullptr) continue;
    if (open_module(*m)) blame(failure, *m, own->entry);
    failure.reason = kOwnTargetText;
    return Error(ErrorCode::kInvalidArgument, 0, target);
  }
  if (client.state == ClientState::kRegistered && !switched_on) {
    const std::uint64_t before = std::exchange(client.target_function, function);
    auto possible = attach_if_switched_on(client, client.filter, failure);
    if (!possible) {
      client.target_function = before;
      return possible;
    }
  }
  const std::uint64_t before = std::exchange(client.target, target);
  auto done = publish_target(client);
  if (!done) {
    client.target = before;
    static_cast<void>(publish_target(client));
    return done;
  }
  client.target_function = function;
  return {};
}

bool is_switched_on() { return switched_on; }

Result<void> set_switch(bool on, Failure& failure) {
  const OpenModules open;
  if (on == switched_on) return {};
  const auto registered = [](const ct_ops& c) {
    return c.state == ClientState::kRegistered && is_switchable(c);
  };
  if (!on) {
    for (const ct_ops& client : all_clients()) {
      if (!client.is_registered() || !client.is_permanent()) continue;
      blame_other(failure, client);
      return ErrorCode::kPermanentClient;
    }
  }
  Result<void> done;
  std::span<ct_ops> clients = all_clients();
  std::size_t reached = 0;
  for (; reached < clients.size() && done; ++reached) {
    ct_ops& client = clients[reached];
    if (!registered(client)) continue;
    // All that the clients had, but for what they could not have: then there is no conflict.
    done = on ? attach(client, client.filter, failure, true, Modules::kNotFailed) : detach(client, failure);
    if (done && !on) ++client.generation;
    // Functions may have gone since: that is no reason to leave the rest off.
    if (on && !done && done.error().code == ErrorCode::kNoMatch) done = {};
  }
  if (done) {
    switched_on = on;
    return {};
  }
  for (std::size_t i = 0; i < reached; ++i) {
    if (!registered(clients[i])) continue;
    if (on) ++clients[i].generation;
    if (i + 1 == reached) break;  // it has changed nothing
    static_cast<void>(on ? detach(clients[i], failure)
                         : attach(clients[i], clients[i].filter, failure, true, Modules::kNotFailed));
  }
  return done;
}

Result<std::uint64_t> check_entry(std::uint64_t address, Failure& failure) {
  const OpenModules open;
  return find_entry(address, failure);
}

Result<void> check_symbol(std::string_view symbol, Failure& failure) {
  const OpenModules open;
  return find_symbol(symbol, failure);
}

namespace {

const SiteRecord* find_record(std::uint64_t entry) {
  const SiteRecord* found = nullptr;
  for (Module* m = first_module(); m != nullptr && found == nullptr; m = m->next)
    found = m->patch.find(entry);
  return found;
}

}  // namespace

std::uint64_t original_of(std::uint64_t address) {
  const SiteRecord* record = find_record(address);
  if (record == nullptr) record = find_record(meant_function(address));
  if (record == nullptr) return 0;
  remember_original(address, record->body());
  return record->body();
}

void set_recorder_observer(RecorderAttached observer, Observed modules) {
  recorder_observer = observer;
  observes_all = modules == Observed::kAll;
}

}  // namespace calltap::ops
