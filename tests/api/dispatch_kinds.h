// The ways in which a site can run its clients (docs/ops.md), for checks that must hold for each of them.
#pragma once

#include <stddef.h>

#include "calltap/calltap.h"

/// A site's clients, a letter each, in the order of their registration. Capital letters are clients with
/// vector registers, small ones say CT_GENERAL_REGS_ONLY:
///   e E  callback     p P  probe       x X  probe with an exit handler only
///   d    direct call  r    redirect    i I  callback that sets the ip    o O  callback that overrides
struct DispatchKind {
  const char* name;
  const char* clients;
};

/// Prints the name of each kind, so that a crash has one, and runs the check for it.
void for_each_dispatch_kind(void (*check)(const struct DispatchKind* kind));
/// Is the function not called, but answered for by a handler?
int is_overridden(const struct DispatchKind* kind);

struct DispatchHandlers {
  ct_callback* entry;
  ct_entry_handler* probe_entry;
  ct_exit_handler* probe_exit;
};

struct DispatchClients {
  struct DispatchHandlers general;
  struct DispatchHandlers vectors;
  ct_callback* set_ip;
  ct_callback* override_return;
  const void* direct;
  const void* replacement;
};

enum { kMostDispatchClients = 8 };

/// Registers the kind's clients on the function at `ip`, and checks that it worked.
void attach_kind(const struct DispatchKind* kind, uint64_t ip, const struct DispatchClients* clients,
                 ct_ops* ops[kMostDispatchClients]);
/// Unregisters and frees them, and checks that each client with handlers has seen `hits` calls.
void detach_kind(const struct DispatchKind* kind, ct_ops* ops[kMostDispatchClients], uint64_t hits);
