// A client as the engine sees it: what the C interface calls ct_ops.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ops/failure.h"
#include "ops/function_filter.h"
#include "trampoline/clients.h"

namespace calltap::ops {

enum class Role : std::uint8_t { kHandlers, kDirect, kRedirect };
enum class ClientState : std::uint8_t { kUnused, kIdle, kRegistered, kDisabled, kLeaving };

/// A function that the client does without although its filter may select it (left_out.h).
struct LeftOut {
  std::uint32_t function = 0;  // its number
  bool is_selected = false;    // by the filter, as it was when the client was last attached
};

}  // namespace calltap::ops

struct ct_ops : calltap::trampoline::Client {
  calltap::ops::ClientState state = calltap::ops::ClientState::kUnused;
  calltap::ops::Role role = calltap::ops::Role::kHandlers;
  std::uint64_t order = 0;            // of registration
  std::uint64_t target = 0;           // of a direct call or redirect
  std::uint64_t target_function = 0;  // where that leads, if it is an own jump of the program
  std::uint64_t functions = 0;        // it is attached to
  /// The records of these functions if they were always few; else empty, and all records have to be looked
  /// at.
  calltap::base::Array<calltap::trampoline::SiteRecord*> records;
  calltap::trampoline::Counters counted_before = {};  // by earlier owners of its counters
  calltap::ops::FunctionFilter filter;
  calltap::base::Array<calltap::ops::LeftOut> left_out;  // ascending
  /// Modules that were loaded since it was last attached to all that there was, and that it could not be
  /// attached to.
  calltap::ops::FailedModules failed_modules;
  /// Functions that its filter selects and that cannot be patched, those of later modules too; the first one.
  calltap::ops::Failures refused_functions;
  char name[64] = {};

  [[nodiscard]] bool is_registered() const {
    return state == calltap::ops::ClientState::kRegistered || state == calltap::ops::ClientState::kDisabled;
  }
  [[nodiscard]] bool is_permanent() const {
    if ((flags & CT_NOT_PERMANENT) != 0) return false;
    return (flags & CT_PERMANENT) != 0 || role != calltap::ops::Role::kHandlers;
  }
  /// A function can have one of these.
  [[nodiscard]] bool is_redirect() const {
    return role == calltap::ops::Role::kRedirect || (flags & CT_IPMODIFY) != 0;
  }
};

namespace calltap::ops {

/// A client nobody uses, kIdle, or null when there are kMaxClients or memory is exhausted. Under the engine's
/// lock.
ct_ops* new_client();
/// Gives an idle client back. Under the engine's lock.
void free_client(ct_ops& client);
/// All places where there can be clients, for walking; those in use have another state than kUnused.
std::span<ct_ops> all_clients();

}  // namespace calltap::ops
