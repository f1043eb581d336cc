// What trampolines know of the clients of a site: which handlers to run, and whether a client still exists.
#pragma once

#include <cstddef>
#include <cstdint>

#include "calltap/calltap.h"
#include "trampoline/layout.h"
#include "trampoline/state.h"

namespace calltap::trampoline {

struct OpSet;

/// Entry handlers of callbacks, probes and lists are called alike: a callback ignores the data, and its
/// result is not looked at; only a list, which is called with list_client, looks at the set.
using EntryHandler = int (*)(std::uint64_t ip, std::uint64_t parent_ip, Client* client, ct_regs* regs,
                             void* data, const OpSet* set);
using ExitHandler = void (*)(std::uint64_t ip, std::uint64_t parent_ip, Client* client, ct_regs* regs,
                             void* data);

/// A registered client (ct_ops). Lives in memory that is never unmapped or used for anything else, so that a
/// call frame that outlives its client may still look at the generation.
struct Client {
  std::uint64_t generation = 0;  // changes when exits that are pending now must not run any more
  ExitHandler exit = nullptr;
  EntryHandler entry = nullptr;
  std::uint64_t index = 0;  // of its counters in every guard
  void* user = nullptr;
  std::uint32_t flags = 0;  // CT_GENERAL_REGS_ONLY ...
  std::uint32_t data_bytes = 0;
  bool wants_exit = false;  // has an exit handler, so its calls need a call frame
  bool is_recorder = false;
};
static_assert(offsetof(Client, generation) == CT_CLIENT_GENERATION);
static_assert(offsetof(Client, exit) == CT_CLIENT_EXIT);
static_assert(offsetof(Client, entry) == CT_CLIENT_ENTRY);

/// The clients of a site, in the order of their registration. Immutable once published; sites with the same
/// clients share one. Read under a guard only.
struct OpSet {
  const void* handler = nullptr;  // the trampoline that it needs
  EntryHandler entry = nullptr;   // of the only client, ct_may_set_ip in front of it, or ct_list_entries
  const void* called = nullptr;   // the same as `handler` for sites that call (CALL_OPS)
  Client* client = nullptr;       // the only one, or the list's
  std::uint64_t hits = 0;         // from a guard to the only client's hit counter
  std::uint64_t generation = 0;   // of the only client
  std::uint64_t data_bytes = 0;   // of the only client: 0 means that nobody looks at the call frame's data
  // The rest is for lists and for whoever makes sets.
  std::uint32_t count = 0;
  std::uint32_t capacity = 0;
  std::uint64_t hash = 0;
  std::uint64_t sites = 0;  // that have it
  OpSet* next = nullptr;    // in its bucket, or among the retired

  struct Member {
    Client* client;
    std::uint64_t generation;
  };
  [[nodiscard]] const Member* members() const { return reinterpret_cast<const Member*>(this + 1); }
  [[nodiscard]] Member* members() { return reinterpret_cast<Member*>(this + 1); }
};
static_assert(offsetof(OpSet, handler) == CT_SET_HANDLER);
static_assert(offsetof(OpSet, entry) == CT_SET_ENTRY);
static_assert(offsetof(OpSet, called) == CT_SET_CALLED);
static_assert(offsetof(OpSet, client) == CT_SET_CLIENT);
static_assert(offsetof(OpSet, hits) == CT_SET_HITS);
static_assert(offsetof(OpSet, generation) == CT_SET_GENERATION);
static_assert(offsetof(OpSet, data_bytes) == CT_SET_DATA);

/// The counters of one client in one thread.
struct Counters {
  std::uint64_t hits;
  std::uint64_t missed;
};
inline constexpr std::size_t kMaxClients = 4096;
inline constexpr std::size_t kListIndex = 0;  // counters of lists: not looked at

/// What one thread is doing with handlers. It is the lock that keeps sets and clients alive while they are
/// used, and what keeps a handler from being called for what it does itself. Never freed, only handed on to
/// another thread: quiescence reads the guards of all threads.
struct alignas(64) Guard {
  static constexpr std::uint64_t kNoThread =
      ~std::uint64_t{0};  // the first handler of a thread makes it a guard
  static constexpr std::uint64_t kSpMask = (std::uint64_t{1} << CT_GUARD_EPOCH_SHIFT) - 1;

  /// 0: no handler runs. Else, in one word, so that no signal handler sees the half of it: above, the low 16
  /// bits of the epoch in which the outermost handler was entered; below, the address of the innermost one's
  /// ct_regs, below which its stack frames lie.
  std::uint64_t word = 0;
  std::uint32_t tid = 0;  // 0: free
  std::uint32_t reserved = 0;
  Guard* next = nullptr;  // all guards, newest first

  /// kMaxClients. Not of a guard that stands for none.
  [[nodiscard]] Counters* counters() const {
    return reinterpret_cast<Counters*>(reinterpret_cast<std::uint64_t>(this) + CT_GUARD_COUNTERS);
  }
  /// By its thread. What a handler has done is done before its guard is seen to be left.
  void set(std::uint64_t state) { __atomic_store_n(&word, state, __ATOMIC_RELEASE); }
  [[nodiscard]] bool is_entered() const { return word != 0 && word != kNoThread; }
  [[nodiscard]] std::uint64_t sp() const { return word & kSpMask; }
};
static_assert(offsetof(Guard, word) == CT_GUARD_WORD);
static_assert(sizeof(Guard) == CT_GUARD_COUNTERS);

}  // namespace calltap::trampoline
