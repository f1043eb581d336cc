// Sites that have, or once had, a direct call or a redirect.
//
// Everything here is called under the engine's lock.
#pragma once

#include "ops/client.h"
#include "trampoline/state.h"

namespace calltap::ops {

/// Stays for the life of the module: a thread may sleep in a client's trampoline and return through the slot
/// at any later time.
struct SpecialSite {
  static constexpr std::uint32_t kNoSlot = ~std::uint32_t{0};

  trampoline::SiteRecord* record = nullptr;
  ct_ops* direct = nullptr;
  ct_ops* redirect = nullptr;  // also a client with CT_IPMODIFY, which is in the op set as well
  std::uint32_t slot = kNoSlot;
  bool was_modified = false;  // ever redirected or directly called
};

/// Null if the site never was one.
SpecialSite* find_special(const trampoline::SiteRecord& record);
/// Null when memory is exhausted.
SpecialSite* make_special(trampoline::SiteRecord& record);
/// Gives the site a slot if it has none. False if there are no more.
bool take_slot(SpecialSite& site);
/// The site, which has no direct call now, gets one: makes its slot lead into the body. These stores must be
/// ordered before publish_handler()'s (ops/quiescence.h).
void clear_slot(const SpecialSite& site);
/// The slot was taken last, and its site was never published: nobody has been through it.
void give_slot_back(const trampoline::SiteRecord& record);
/// No site has a direct call or redirect.
void forget_owners();
/// The record is gone.
void forget_special(const trampoline::SiteRecord& record);

/// Is it a site with CALL_OPS?
bool calls_stub(const trampoline::SiteRecord& record);

/// A direct call's trampoline that is all that the site's calls go to, 0 if there is none or more than that.
std::uint64_t lone_direct(const trampoline::SiteRecord& record);

/// Stores target and handler of the record so that they suit its set, direct call and redirect: every call
/// sees the old or the new state (docs/ops.md). The set has been stored already.
void publish_handler(trampoline::SiteRecord& record);

}  // namespace calltap::ops
