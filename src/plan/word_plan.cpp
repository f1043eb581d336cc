#include "plan/word_plan.h"

#include <algorithm>

#include "isa/aarch64/sled_forms.h"
#include "isa/riscv64/sled_forms.h"
#include "isa/sled_words.h"

namespace calltap::plan {
namespace {

using site::Site;
using site::SiteProblem;
using Bytes = std::span<const std::uint8_t>;

constexpr std::uint64_t kLiteralBytes = 8;

WordForm refused(SiteProblem problem) {
  WordForm form;
  form.problem = problem;
  return form;
}

template <class SledForm>
bool has_room(const isa::WordSled<SledForm>& sled, const Site& site) {
  return site.first_nop_bytes == sled.first_nop_bytes && site.pad_bytes >= sled.pad_bytes &&
         site.entry_bytes >= sled.length();
}

/// The switch is one store, and so is a change of the literal, which ends where the function begins.
template <class SledForm>
bool is_aligned(const isa::WordSled<SledForm>& sled, const Site& site, Method method) {
  const std::size_t at = sled.switch_offset();
  std::size_t bytes = 0;
  for (std::size_t i = 0, offset = 0; i < sled.count; offset += sled.words[i].bytes, ++i) {
    if (offset == at) bytes = sled.words[i].bytes;
  }
  return (site.unit.value + at) % bytes == 0 &&
         (method != Method::kCall || site.entry.value % kLiteralBytes == 0);
}

template <class SledForm>
WordForm fit(const isa::WordSled<SledForm>& sled, Method method, const Site& site, Bytes bytes) {
  if (!has_room(sled, site)) return refused(SiteProblem::kSledTooShort);
  if (isa::state_of(sled, bytes) == isa::SledState::kForeign) return refused(SiteProblem::kNotNops);
  if (!is_aligned(sled, site, method)) return refused(SiteProblem::kMisaligned);
  WordForm form;
  form.method = method;
  form.switch_offset = static_cast<std::uint8_t>(sled.switch_offset());
  form.prepared_once = form.switch_offset != 0;
  form.switch_bytes = sled.words[form.prepared_once ? 1 : 0].bytes;
  form.body_offset = sled.body_offset;
  form.landing_pad = sled.body_offset < sled.length();
  return form;
}

/// A misaligned site says more than one that is too short for the other form.
WordForm better(const WordForm& a, const WordForm& b) {
  if (a.method != Method::kNone) return a;
  if (b.method != Method::kNone) return b;
  return a.problem == SiteProblem::kSledTooShort ? b : a;
}

WordPlan classify_aarch64(const Site& site, Bytes bytes, bool needs_landing_pads) {
  using isa::aarch64::find_sled;
  using Form = isa::aarch64::SledForm;
  WordPlan plan;
  plan.call = fit(*find_sled(Form::kCall), Method::kCall, site, bytes);
  const Form jump = needs_landing_pads ? Form::kLandingJump : Form::kJump;
  plan.jump = fit(*find_sled(jump), Method::kJump, site, bytes);
  if (needs_landing_pads && plan.jump.problem == SiteProblem::kSledTooShort)
    plan.jump.problem = SiteProblem::kNoLandingPad;
  return plan;
}

WordPlan classify_riscv64(const Site& site, Bytes bytes) {
  using isa::riscv64::find_sled;
  using Form = isa::riscv64::SledForm;
  const auto fit_form = [&](Form form, Method method) {
    const auto* sled = find_sled(form, site.first_nop_bytes);
    return sled == nullptr ? refused(SiteProblem::kNotNops) : fit(*sled, method, site, bytes);
  };
  WordPlan plan;
  plan.call = fit_form(Form::kCall, Method::kCall);
  plan.jump = better(fit_form(Form::kJump, Method::kJump), fit_form(Form::kFarJump, Method::kFarJump));
  return plan;
}

}  // namespace

WordPlan classify_words(site::Machine machine, const Site& site, Bytes unit_bytes, bool needs_landing_pads) {
  if (site.problem != SiteProblem::kNone) return {refused(site.problem), refused(site.problem)};
  const Bytes bytes = unit_bytes.first(std::min<std::size_t>(unit_bytes.size(), site.entry_bytes));
  return machine == site::Machine::kAArch64 ? classify_aarch64(site, bytes, needs_landing_pads)
                                            : classify_riscv64(site, bytes);
}

}  // namespace calltap::plan
