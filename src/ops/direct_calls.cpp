#include "ops/direct_calls.h"

#include "base/array.h"
#include "base/never_destroyed.h"
#include "plan/plan.h"
#include "trampoline/code.h"

namespace calltap::ops {
namespace {

constexpr std::size_t kBuckets = 1024;

// Chained by index into `sites`, so that the array may move.
constinit base::NeverDestroyed<base::Array<SpecialSite>> sites;
constinit base::NeverDestroyed<base::Array<std::uint32_t>> chain;
std::uint32_t first_of[kBuckets] = {};  // index + 1
std::uint32_t first_free = 0;           // index + 1 of a place whose site is gone, chained; it keeps its slot
std::uint32_t slots_used = 0;

std::size_t bucket_of(const trampoline::SiteRecord& record) {
  return (reinterpret_cast<std::uint64_t>(&record) / sizeof record * 0x9e3779b97f4a7c15 >> 40) % kBuckets;
}

void store(const void*& where, std::uint64_t value) {
  __atomic_store_n(&where, reinterpret_cast<const void*>(value), __ATOMIC_RELEASE);
}

}  // namespace

SpecialSite* find_special(const trampoline::SiteRecord& record) {
  for (std::uint32_t at = first_of[bucket_of(record)]; at != 0; at = chain.get()[at - 1]) {
    SpecialSite& site = sites.get()[at - 1];
    if (site.record == &record) return &site;
  }
  return nullptr;
}

SpecialSite* make_special(trampoline::SiteRecord& record) {
  if (SpecialSite* known = find_special(record)) return known;
  sites.create_once();
  chain.create_once();
  SpecialSite site;
  site.record = &record;
  std::uint32_t& first = first_of[bucket_of(record)];
  if (first_free != 0) {
    const std::uint32_t place = first_free;
    SpecialSite& reused = sites.get()[place - 1];
    site.slot = reused.slot;
    reused = site;
    first_free = chain.get()[place - 1];
    chain.get()[place - 1] = first;
    first = place;
    return &reused;
  }
  if (!sites.get().push_back(site)) return nullptr;
  if (!chain.get().push_back(first)) {
    sites.get().pop_back();
    return nullptr;
  }
  first = static_cast<std::uint32_t>(sites.get().size());
  return &sites.get().back();
}

bool take_slot(SpecialSite& site) {
  if (site.slot != SpecialSite::kNoSlot) return true;
  if (slots_used == CT_DIRECT_SLOTS) return false;
  site.slot = slots_used++;
  return true;
}

void give_slot_back(const trampoline::SiteRecord& record) {
  SpecialSite* site = find_special(record);
  if (site == nullptr || site->slot == SpecialSite::kNoSlot || site->slot + 1 != slots_used) return;
  site->slot = SpecialSite::kNoSlot;
  --slots_used;
}

void forget_owners() {
  for (std::uint32_t first : first_of) {
    for (std::uint32_t at = first; at != 0; at = chain.get()[at - 1]) {
      sites.get()[at - 1].direct = nullptr;
      sites.get()[at - 1].redirect = nullptr;
    }
  }
}

void forget_special(const trampoline::SiteRecord& record) {
  std::uint32_t* link = &first_of[bucket_of(record)];
  while (*link != 0 && sites.get()[*link - 1].record != &record) link = &chain.get()[*link - 1];
  if (*link == 0) return;
  // The slot's next site has another body. A thread that would come back through it to this one has no code
  // to come back to.
  const std::uint32_t place = *link;
  SpecialSite gone;
  gone.slot = sites.get()[place - 1].slot;
  sites.get()[place - 1] = gone;
  *link = chain.get()[place - 1];
  chain.get()[place - 1] = first_free;
  first_free = place;
}

namespace {

/// Where the function's calls go on.
std::uint64_t body_of(const trampoline::SiteRecord& record, const SpecialSite* special) {
  std::uint64_t body = record.body();
  if (special != nullptr && special->redirect != nullptr && special->redirect->role == Role::kRedirect) {
    body = special->redirect->target;
  }
  return body;
}

}  // namespace

bool calls_stub(const trampoline::SiteRecord& record) {
  return record.method == static_cast<std::uint8_t>(plan::Method::kCall);
}

void clear_slot(const SpecialSite& site) {
  trampoline::DirectSlot& slot = trampoline::code().direct_table[site.slot];
  __atomic_store_n(&slot.body, body_of(*site.record, &site), __ATOMIC_RELEASE);
  store(slot.direct, reinterpret_cast<std::uint64_t>(trampoline::code().direct_none));
  if (calls_stub(*site.record)) site.record->word.slot = static_cast<std::uint16_t>(site.slot);
}

namespace {

/// A trampoline for handlers, as sites with CALL_OPS come to it.
const void* called(const void* handler) {
  const trampoline::Code& code = trampoline::code();
  if (handler == code.recorder) return code.called.recorder;
  if (handler == code.bare_hook) return code.called.bare_hook;
  if (handler == code.entry) return code.called.entry;
  if (handler == code.entry_vectors) return code.called.entry_vectors;
  if (handler == code.probe) return code.called.probe;
  if (handler == code.probe_vectors) return code.called.probe_vectors;
  return code.called.pass;
}

/// The last step of publish_handler() for a site with CALL_OPS: its calls come with the way back in a
/// register, as a direct call's trampoline wants it, and a lone one needs nothing else.
void publish_called(trampoline::SiteRecord& record, const SpecialSite* special, std::uint64_t target) {
  const trampoline::Code::Called& code = trampoline::code().called;
  const ct_ops* direct = special != nullptr ? special->direct : nullptr;
  const bool is_replaced = body_of(record, special) != record.body();
  if (!is_replaced) target = reinterpret_cast<std::uint64_t>(direct != nullptr ? code.direct : code.body);
  __atomic_store_n(&record.target, target, __ATOMIC_RELEASE);
  const void* handler = code.pass;
  if (record.set->count != 0) {
    const bool is_alone = !is_replaced && direct == nullptr && record.set->called != nullptr;
    handler = is_alone ? record.set->called : called(record.set->handler);
  } else if (is_replaced) {
    handler = code.target;
  } else if (direct != nullptr) {
    handler = reinterpret_cast<const void*>(direct->target);
  }
  __atomic_store_n(&record.handler, handler, __ATOMIC_RELEASE);
}

}  // namespace

std::uint64_t lone_direct(const trampoline::SiteRecord& record) {
  const SpecialSite* special = find_special(record);
  const bool is_alone = special != nullptr && special->direct != nullptr && record.set->count == 0 &&
                        body_of(record, special) == record.body();
  return is_alone ? special->direct->target : 0;
}

void publish_handler(trampoline::SiteRecord& record) {
  const SpecialSite* special = find_special(record);
  const std::uint64_t body = body_of(record, special);
  std::uint64_t target = body;
  if (special != nullptr && special->slot != SpecialSite::kNoSlot) {
    trampoline::DirectSlot& slot = trampoline::code().direct_table[special->slot];
    __atomic_store_n(&slot.body, body, __ATOMIC_RELEASE);
    const bool has_direct = special->direct != nullptr;
    store(slot.direct, has_direct ? special->direct->target
                                  : reinterpret_cast<std::uint64_t>(trampoline::code().direct_none));
    if (has_direct) {
      target = reinterpret_cast<std::uint64_t>(trampoline::code().direct_slots) +
               special->slot * CT_DIRECT_SLOT_BYTES;
    }
  }
  if (calls_stub(record)) return publish_called(record, special, target);
  __atomic_store_n(&record.target, target, __ATOMIC_RELEASE);
  if (record.set->count != 0) {
    store(record.handler, reinterpret_cast<std::uint64_t>(record.set->handler));
  } else {
    store(record.handler,
          target == record.body() ? reinterpret_cast<std::uint64_t>(trampoline::code().pass) : target);
  }
}

}  // namespace calltap::ops
