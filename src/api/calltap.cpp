// The C interface of include/calltap/calltap.h over the engine.
#include "calltap/calltap.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "api/error_text.h"
#include "ops/engine.h"
#include "ops/originals.h"
#include "ops/quiescence.h"
#include "trampoline/guards.h"
#include "trampoline/handlers.h"
#include "trampoline/unwinder.h"

#pragma GCC visibility push(default)

using namespace calltap;
using api::report;
using base::ErrorCode;
using base::Result;
using ops::ClientState;
using ops::EngineLock;
using ops::Failure;
using ops::Role;

namespace {

constexpr unsigned kAllFlags =
    CT_GENERAL_REGS_ONLY | CT_PERMANENT | CT_NOT_PERMANENT | CT_ALLOW_NO_MATCH | CT_IPMODIFY;

/// Runs `operation(failure)` under the engine's lock, and turns what comes of it into a return value. `frame`
/// is that of the function that the program has called.
template <class Operation>
int locked(const char* function, Operation operation, const void* frame = __builtin_frame_address(0)) {
  if (trampoline::in_handler(reinterpret_cast<std::uint64_t>(frame)))
    return report(function, ErrorCode::kInHandler);
  if (auto started = ops::start_engine(ops::EngineStart::kProgramRuns); !started)
    return report(function, started, {});
  Failure failure;
  Result<void> done;
  {
    const EngineLock lock;
    ops::trust_loaded_code();
    done = operation(failure);
    ops::free_unused_sets();
  }
  // What failed half-way and was taken back may have been seen: the caller may free what belongs to its
  // handlers.
  if (!done && failure.was_published) static_cast<void>(ops::wait_for_handlers());
  return report(function, done, failure);
}

/// What an operation needs of its ops. That it was freed shows until it is used for another.
Result<void> check_client(const ct_ops* client, Failure& failure) {
  if (client != nullptr && client->state != ClientState::kUnused) return {};
  failure.reason = client == nullptr ? "the ops is NULL" : "the ops has been freed";
  return ErrorCode::kInvalidArgument;
}

template <class Operation>
int locked_on(const char* function, const ct_ops* client, Operation operation,
              const void* frame = __builtin_frame_address(0)) {
  return locked(
      function,
      [&](Failure& failure) -> Result<void> {
        if (auto usable = check_client(client, failure); !usable) return usable;
        return operation(failure);
      },
      frame);
}

std::string_view why_invalid(unsigned flags, bool has_exit, std::size_t data_bytes) {
  if ((flags & ~kAllFlags) != 0) return "unknown flags";
  if ((flags & CT_PERMANENT) != 0 && (flags & CT_NOT_PERMANENT) != 0)
    return "CT_PERMANENT and CT_NOT_PERMANENT exclude each other";
  if (data_bytes > CT_DATA_MAX) return "more per-call data than CT_DATA_MAX";
  if (data_bytes != 0 && !has_exit) return "per-call data without an exit handler";
  return {};
}

ct_ops* make(const char* function, void* user, unsigned flags, trampoline::EntryHandler entry,
             trampoline::ExitHandler exit, std::size_t data_bytes) {
  if (const auto reason = why_invalid(flags, exit != nullptr, data_bytes); !reason.empty()) {
    report(function, ErrorCode::kInvalidArgument, reason);
    return nullptr;
  }
  ct_ops* client = nullptr;
  const int failed = locked(function, [&](Failure&) -> Result<void> {
    client = ops::new_client();
    if (client == nullptr) return ErrorCode::kOutOfMemory;
    client->role = Role::kHandlers;
    client->entry = entry;
    client->exit = exit;
    client->wants_exit = exit != nullptr;
    client->user = user;
    client->flags = flags;
    client->data_bytes = static_cast<std::uint32_t>(data_bytes);
    client->functions = 0;
    return {};
  });
  return failed != 0 ? nullptr : client;
}

/// A callback's result is nothing; a probe's entry handler's is.
trampoline::EntryHandler as_entry(ct_callback* callback) {
  return reinterpret_cast<trampoline::EntryHandler>(reinterpret_cast<void*>(callback));
}
trampoline::EntryHandler as_entry(ct_entry_handler* entry) {
  return reinterpret_cast<trampoline::EntryHandler>(reinterpret_cast<void*>(entry));
}
trampoline::ExitHandler as_exit(ct_exit_handler* exit) {
  return reinterpret_cast<trampoline::ExitHandler>(reinterpret_cast<void*>(exit));
}

/// Exchanges the filter for one that `change` makes of it.
template <class Change>
int change_filter(const char* function, ct_ops* client, Change change) {
  return locked_on(function, client, [&](Failure& failure) -> Result<void> {
    ops::FunctionFilter filter;
    if (auto copied = filter.copy_from(client->filter); !copied) return copied;
    if (auto changed = change(filter, failure); !changed) return changed;
    return ops::set_client_filter(*client, filter, failure);
  });
}

int wait(const char* function) {
  const auto epoch = ops::wait_for_handlers();
  return epoch ? 0 : report(function, Result<void>(epoch.error()), {});
}

/// Waits for the handlers of a client that is leaving since this generation. Another thread may be doing the
/// same, and be done with it first.
int wait_and_finish(const char* function, ct_ops* client, std::uint64_t generation) {
  const auto epoch = ops::wait_for_handlers();
  const EngineLock lock;
  if (!epoch) {
    ops::cancel_unregister(*client, generation);
    return report(function, Result<void>(epoch.error()), {});
  }
  ops::finish_unregister(*client, generation, *epoch);
  return 0;
}

int unregister(const char* function, ct_ops* client, Role role) {
  std::uint64_t generation = 0;
  const int failed = locked_on(function, client, [&](Failure& failure) -> Result<void> {
    if (auto usable = ops::check_registered(*client, role, failure); !usable) return usable;
    auto begun = ops::begin_unregister(*client, failure);
    generation = client->generation;
    return begun;
  });
  return failed != 0 ? failed : wait_and_finish(function, client, generation);
}

int register_target(const char* function, ct_ops* client, Role role, const void* target) {
  return locked_on(function, client, [&](Failure& failure) -> Result<void> {
    if (auto idle = ops::check_idle(*client, failure); !idle) return idle;
    if (client->entry != nullptr || client->exit != nullptr || (client->flags & CT_IPMODIFY) != 0) {
      failure.reason = "a direct call or redirect has no handlers and no CT_IPMODIFY";
      return ErrorCode::kInvalidArgument;
    }
    client->role = role;
    client->target = reinterpret_cast<std::uint64_t>(target);
    auto done = ops::register_client(*client, failure);
    if (!done) client->role = Role::kHandlers;
    return done;
  });
}

bool is_control_character(char c) {
  const auto code = static_cast<unsigned char>(c);
  return code < ' ' || code == 0x7f;
}

/// `failures_of(client)` is asked under the engine's lock.
template <class FailuresOf>
std::uint64_t describe_failures(const ct_ops* client, FailuresOf failures_of, char* text, std::size_t size) {
  const bool wants_text = text != nullptr && size != 0;
  if (wants_text) text[0] = '\0';
  if (client == nullptr) return 0;
  const EngineLock lock;
  const ops::Failures failures = failures_of(*client);
  if (wants_text && failures.count != 0) api::describe(failures.error, failures.failure, {text, size});
  return failures.count;
}

}  // namespace

extern "C" {

ct_ops* ct_new_callback(ct_callback* callback, void* user, unsigned flags) {
  if (callback == nullptr) {
    report(__func__, ErrorCode::kNoHandler);
    return nullptr;
  }
  return make(__func__, user, flags, as_entry(callback), nullptr, 0);
}

ct_ops* ct_new_probe(ct_entry_handler* entry, ct_exit_handler* exit, std::size_t data_bytes, void* user,
                     unsigned flags) {
  if (entry == nullptr && exit == nullptr) {
    report(__func__, ErrorCode::kNoHandler);
    return nullptr;
  }
  return make(__func__, user, flags, as_entry(entry), as_exit(exit), data_bytes);
}

ct_ops* ct_new_ops(void* user, unsigned flags) { return make(__func__, user, flags, nullptr, nullptr, 0); }

int ct_free_ops(ct_ops* client) {
  if (client == nullptr) return 0;
  bool leaves = false;
  std::uint64_t generation = 0;
  const int failed = locked_on(__func__, client, [&](Failure& failure) -> Result<void> {
    if (client->is_registered()) {
      if (auto begun = ops::begin_unregister(*client, failure); !begun) return begun;
    }
    leaves = client->state == ClientState::kLeaving;
    generation = client->generation;
    if (!leaves) ops::free_client(*client);
    return {};
  });
  if (failed != 0 || !leaves) return failed;
  if (const int waited = wait_and_finish(__func__, client, generation); waited != 0) return waited;
  return locked_on(__func__, client, [&](Failure& failure) -> Result<void> {
    if (auto idle = ops::check_idle(*client, failure); !idle) return idle;
    ops::free_client(*client);
    return {};
  });
}

void* ct_ops_user(const ct_ops* client) { return client == nullptr ? nullptr : client->user; }

int ct_set_name(ct_ops* client, const char* name) {
  const std::string_view text = name == nullptr ? "" : name;
  Failure failure;
  const EngineLock lock;
  if (auto usable = check_client(client, failure); !usable) return report(__func__, usable, failure);
  if (std::any_of(text.begin(), text.end(), is_control_character)) {
    return report(__func__, ErrorCode::kInvalidArgument, "a name has no control characters");
  }
  const std::size_t length = std::min(text.size(), sizeof client->name - 1);
  std::memcpy(client->name, text.data(), length);
  client->name[length] = '\0';
  return 0;
}

int ct_set_filter(ct_ops* client, const char* pattern, int reset) {
  return change_filter(__func__, client, [&](ops::FunctionFilter& filter, Failure&) {
    if (reset != 0) filter.clear_patterns(false);
    return pattern == nullptr ? Result<void>() : filter.add_pattern(pattern, false);
  });
}

int ct_set_notrace(ct_ops* client, const char* pattern, int reset) {
  return change_filter(__func__, client, [&](ops::FunctionFilter& filter, Failure&) {
    if (reset != 0) filter.clear_patterns(true);
    return pattern == nullptr ? Result<void>() : filter.add_pattern(pattern, true);
  });
}

int ct_set_filter_symbol(ct_ops* client, const char* symbol, int reset) {
  return change_filter(__func__, client, [&](ops::FunctionFilter& filter, Failure& failure) -> Result<void> {
    if (symbol == nullptr) {
      failure.reason = "the symbol is NULL";
      return ErrorCode::kInvalidArgument;
    }
    if (auto found = ops::check_symbol(symbol, failure); !found) return found;
    if (reset != 0) filter.clear_patterns(false);
    return filter.add_symbol(symbol);
  });
}

int ct_set_filter_ip(ct_ops* client, std::uint64_t ip, int remove, int reset) {
  return change_filter(__func__, client, [&](ops::FunctionFilter& filter, Failure& failure) -> Result<void> {
    auto function = ops::check_entry(ip, failure);
    if (!function) return function.error();
    if (reset != 0) filter.clear_patterns(false);
    return remove == 0 ? filter.add_address(*function) : filter.remove_address(*function);
  });
}

int ct_register_ops(ct_ops* client) {
  return locked_on(__func__, client,
                   [&](Failure& failure) { return ops::register_client(*client, failure); });
}

int ct_unregister_ops(ct_ops* client) { return unregister(__func__, client, Role::kHandlers); }

int ct_disable_ops(ct_ops* client) {
  const int failed =
      locked_on(__func__, client, [&](Failure& failure) { return ops::disable_client(*client, failure); });
  return failed != 0 ? failed : wait(__func__);
}

int ct_enable_ops(ct_ops* client) {
  return locked_on(__func__, client, [&](Failure& failure) { return ops::enable_client(*client, failure); });
}

int ct_register_direct(ct_ops* client, const void* trampoline) {
  return register_target(__func__, client, Role::kDirect, trampoline);
}

int ct_unregister_direct(ct_ops* client) { return unregister(__func__, client, Role::kDirect); }

int ct_modify_direct(ct_ops* client, const void* trampoline) {
  return locked_on(__func__, client, [&](Failure& failure) {
    return ops::modify_direct(*client, reinterpret_cast<std::uint64_t>(trampoline), failure);
  });
}

int ct_register_redirect(ct_ops* client, const void* replacement) {
  return register_target(__func__, client, Role::kRedirect, replacement);
}

int ct_unregister_redirect(ct_ops* client) { return unregister(__func__, client, Role::kRedirect); }

void* ct_original(const void* function) {
  // Also for handlers and replacements. Only the first time takes the lock, under which nothing waits for
  // handlers.
  const auto entry = reinterpret_cast<std::uint64_t>(function);
  if (const std::uint64_t body = ops::remembered_original(entry)) return reinterpret_cast<void*>(body);
  const EngineLock lock;
  return reinterpret_cast<void*>(ops::original_of(entry));
}

int ct_set_enabled(int enabled) {
  const int failed =
      locked(__func__, [&](Failure& failure) { return ops::set_switch(enabled != 0, failure); });
  return failed != 0 || enabled != 0 ? failed : wait(__func__);
}

int ct_enabled(void) { return ops::is_switched_on() ? 1 : 0; }

long ct_enabled_functions(char* text, std::size_t size) {
  if (text == nullptr) size = 0;
  struct Output {
    char* text;
    std::size_t size;
    std::size_t length = 0;
  } output{text, size};
  const int failed = locked(__func__, [&](Failure&) -> Result<void> {
    ops::list_enabled_functions(
        [](void* context, std::string_view line) {
          auto& out = *static_cast<Output*>(context);
          for (const char c : line) {
            if (out.length + 1 < out.size) out.text[out.length] = c;
            ++out.length;
          }
        },
        &output);
    return {};
  });
  if (failed != 0) return failed;
  if (size != 0) text[std::min(output.length, size - 1)] = '\0';
  return static_cast<long>(output.length);
}

std::uint64_t ct_ops_hits(const ct_ops* client) {
  if (client == nullptr) return 0;
  return trampoline::sum_counters(*client).hits - client->counted_before.hits;
}

std::uint64_t ct_ops_missed(const ct_ops* client) {
  if (client == nullptr) return 0;
  return trampoline::sum_counters(*client).missed - client->counted_before.missed;
}

std::uint64_t ct_handlers_thrown(void) { return trampoline::handlers_thrown(); }

std::uint64_t ct_ops_failed_modules(const ct_ops* client, char* text, std::size_t size) {
  return describe_failures(
      client, [](const ct_ops& c) { return c.failed_modules.all(); }, text, size);
}

std::uint64_t ct_ops_refused_functions(const ct_ops* client, char* text, std::size_t size) {
  return describe_failures(
      client, [](const ct_ops& c) { return c.refused_functions; }, text, size);
}

std::size_t ct_ops_functions(const ct_ops* client) { return client == nullptr ? 0 : client->functions; }
}

#pragma GCC visibility pop
