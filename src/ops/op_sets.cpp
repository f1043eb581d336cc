#include "ops/op_sets.h"

#include <algorithm>
#include <atomic>

#include "ops/memory.h"
#include "trampoline/code.h"
#include "trampoline/guards.h"

namespace calltap::ops {
namespace {

using trampoline::OpSet;

constexpr std::size_t kBuckets = 1024;

OpSet* buckets[kBuckets] = {};
OpSet* retired = nullptr;  // newest first; `sites` holds the epoch
std::uint64_t retired_count = 0;
std::uint64_t set_count = 0;

// Many sites change alike, one after the other.
struct Change {
  const OpSet* from = nullptr;
  const ct_ops* client = nullptr;
  OpSet* to = nullptr;
  bool added = false;
};
Change last_change;

std::size_t bytes_of(std::uint32_t capacity) { return sizeof(OpSet) + capacity * sizeof(OpSet::Member); }

std::uint64_t hash_of(const OpSet& set) {
  std::uint64_t value = 0xcbf29ce484222325;
  for (std::uint32_t i = 0; i < set.count; ++i) {
    value = (value ^ reinterpret_cast<std::uint64_t>(set.members()[i].client)) * 0x100000001b3;
    value = (value ^ set.members()[i].generation) * 0x100000001b3;
  }
  return value;
}

bool same_members(const OpSet& a, const OpSet& b) {
  return a.hash == b.hash && a.count == b.count &&
         std::equal(a.members(), a.members() + a.count, b.members(),
                    [](const OpSet::Member& x, const OpSet::Member& y) {
                      return x.client == y.client && x.generation == y.generation;
                    });
}

/// From a guard to the counter.
std::uint64_t hits_of(std::uint64_t index) {
  return CT_GUARD_COUNTERS + index * sizeof(trampoline::Counters);
}

/// The trampoline for calls of the same handlers, if there is one for sites that have nothing else.
const void* called_alone(const void* handler) {
  const trampoline::Code& code = trampoline::code();
  if (handler == code.entry) return code.called.entry_alone;
  return handler == code.entry_vectors ? code.called.entry_vectors_alone : nullptr;
}

/// Chooses trampoline and handler from the members.
void choose_dispatch(OpSet& set) {
  bool needs_frame = false;
  bool needs_vectors = false;
  for (std::uint32_t i = 0; i < set.count; ++i) {
    const trampoline::Client& client = *set.members()[i].client;
    needs_frame = needs_frame || client.wants_exit;
    needs_vectors = needs_vectors || (client.flags & CT_GENERAL_REGS_ONLY) == 0;
  }
  if (needs_frame) {
    set.handler = needs_vectors ? trampoline::code().probe_vectors : trampoline::code().probe;
  } else {
    set.handler = needs_vectors ? trampoline::code().entry_vectors : trampoline::code().entry;
  }
  set.called = called_alone(set.handler);
  set.client = &trampoline::list_client;
  set.entry = trampoline::list_client.entry;
  set.hits = hits_of(trampoline::kListIndex);
  set.generation = 0;
  if (set.count != 1) return;
  const auto& only = static_cast<const ct_ops&>(*set.members()[0].client);
  if (only.is_recorder) {
    set.handler = trampoline::code().recorder;
  } else if (only.entry != nullptr) {
    set.client = set.members()[0].client;
    set.entry = (only.flags & CT_IPMODIFY) != 0 ? trampoline::code().may_set_ip : only.entry;
    set.hits = hits_of(only.index);
    set.generation = set.members()[0].generation;
    set.data_bytes = only.data_bytes;
  }
}

OpSet* make_set(std::uint32_t count) {
  auto* set = static_cast<OpSet*>(allocate(bytes_of(count)));
  if (set == nullptr) return nullptr;
  *set = OpSet();
  set->capacity = count;
  ++set_count;
  return set;
}

void free_set(OpSet& set) {
  release(&set, bytes_of(set.capacity));
  --set_count;
}

/// The one set with these members; `made` is used or freed.
OpSet* intern(OpSet& made) {
  made.hash = hash_of(made);
  OpSet*& bucket = buckets[made.hash % kBuckets];
  for (OpSet* set = bucket; set != nullptr; set = set->next) {
    if (!same_members(*set, made)) continue;
    free_set(made);
    return set;
  }
  choose_dispatch(made);
  made.next = bucket;
  bucket = &made;
  return &made;
}

OpSet* changed(const OpSet& from, const ct_ops& client, bool add) {
  if (last_change.from == &from && last_change.client == &client && last_change.added == add) {
    return last_change.to;
  }
  OpSet* made = make_set(from.count + 1);
  if (made == nullptr) return nullptr;
  // In the order of registration: a client that was disabled comes back to its place.
  bool added = !add;
  for (std::uint32_t i = 0; i < from.count; ++i) {
    const OpSet::Member& member = from.members()[i];
    if (member.client == &client) continue;
    if (!added && static_cast<const ct_ops*>(member.client)->order > client.order) {
      made->members()[made->count++] = {const_cast<ct_ops*>(&client), client.generation};
      added = true;
    }
    made->members()[made->count++] = member;
  }
  if (!added) made->members()[made->count++] = {const_cast<ct_ops*>(&client), client.generation};
  OpSet* to = intern(*made);
  last_change = {&from, &client, to, add};
  return to;
}

}  // namespace

const OpSet& empty_set() {
  static constinit OpSet empty = {};
  empty.handler = trampoline::code().pass;
  return empty;
}

bool contains(const OpSet& set, const ct_ops& client) {
  return std::any_of(set.members(), set.members() + set.count,
                     [&](const OpSet::Member& m) { return m.client == &client; });
}

const OpSet* with_client(const OpSet& set, ct_ops& client) {
  OpSet* to = changed(set, client, true);
  if (to != nullptr) ++to->sites;
  return to;
}

const OpSet* without_client(const OpSet& set, const ct_ops& client) {
  if (set.count == 1 && set.members()[0].client == &client) return &empty_set();
  OpSet* to = changed(set, client, false);
  if (to != nullptr) ++to->sites;
  return to;
}

void release_set(const OpSet& given) {
  if (&given == &empty_set()) return;
  auto& set = const_cast<OpSet&>(given);
  if (--set.sites != 0) return;
  OpSet** link = &buckets[set.hash % kBuckets];
  while (*link != &set) link = &(*link)->next;
  *link = set.next;
  if (last_change.to == &set || last_change.from == &set) last_change = {};
  // Who enters a guard in a later epoch finds the site's new set: that is stored before the epoch is read.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  set.sites = trampoline::current_epoch();
  set.next = retired;
  retired = &set;
  ++retired_count;
}

void free_retired_before(std::uint64_t epoch) {
  for (OpSet** link = &retired; *link != nullptr;) {
    OpSet* set = *link;
    if (set->sites >= epoch) {
      link = &set->next;
      continue;
    }
    *link = set->next;
    free_set(*set);
    --retired_count;
  }
}

std::uint64_t retired_sets() { return retired_count; }
std::uint64_t live_sets() { return set_count; }

}  // namespace calltap::ops
