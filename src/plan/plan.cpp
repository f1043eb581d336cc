#include "plan/plan.h"

#include <algorithm>

#include "isa/x86_64/decode.h"
#include "isa/x86_64/encode.h"

namespace calltap::plan {
namespace {

namespace isa = isa::x86_64;
using isa::ByteRule;
using isa::Sled;

/// What the planner needs to know of one site's bytes.
struct Shape {
  Form form = Form::kNone;
  std::size_t matching = 0;     // bytes that follow the form's row, 0 for kOtherNop
  std::size_t instruction = 0;  // length of the first instruction, 0 if it is no NOP
};

Shape shape_of(std::span<const std::uint8_t> bytes) {
  for (const Sled& sled : isa::kSleds) {
    const std::size_t matching = isa::matching_bytes(sled, bytes);
    if (matching >= sled.instruction) return {sled.form, matching, sled.instruction};
  }
  const unsigned nop = isa::nop_length(bytes);
  return {nop == 0 ? Form::kNone : Form::kOtherNop, 0, nop};
}

/// A pad that a `jmp rel8` behind the landing pad reaches with a harmless d8.
bool has_usable_pad(const site::Site& site) {
  return site.pad_bytes >= -isa::kPadJumpOffset &&
         isa::pad_jump_displacement(site.landing_pad_bytes).has_value();
}

base::LinkAddress pad_jump(const site::Site& site) { return site.entry + isa::kPadJumpOffset; }

bool can_use_pad(const Shape& shape, const site::Site& site) {
  const Sled* sled = isa::find_sled(shape.form);
  return sled != nullptr && has_usable_pad(site) && shape.matching >= isa::kJmpRel8Bytes &&
         sled->bytes[1].rule == ByteRule::kHarmless;
}

bool can_use_mirror(const Shape& shape) { return shape.matching >= isa::kJmpRel32Bytes; }

bool can_use_trap(const Shape& shape, const site::Site& site) {
  return shape.instruction >= (has_usable_pad(site) ? isa::kJmpRel8Bytes : isa::kJmpRel32Bytes);
}

void use_pad(SitePlan& plan, const site::Site& site) {
  plan.method = Method::kPad;
  plan.on_byte = isa::kJmpRel8;
  plan.prepare[0] = {1, *isa::pad_jump_displacement(site.landing_pad_bytes)};
  plan.prepare_count = 1;
  plan.body_offset = isa::kJmpRel8Bytes;
  plan.jump_at = pad_jump(site);
}

void convert_to_nopl44(SitePlan& plan) {
  plan.convert = true;
  plan.form = Form::kNopl44;
  plan.off_byte = isa::find_sled(Form::kNopl44)->bytes[0].off;
}

void use_mirror(SitePlan& plan, const Shape& shape, bool fixed_position) {
  plan.method = Method::kMirror;
  plan.on_byte = isa::kJmpRel32;
  plan.body_offset = static_cast<std::uint8_t>(std::max(shape.instruction, isa::kJmpRel32Bytes));
  if (plan.form == Form::kOneByteNops && fixed_position) convert_to_nopl44(plan);
}

void use_trap(SitePlan& plan, const site::Site& site) {
  const bool pad = has_usable_pad(site);
  plan.method = Method::kTrap;
  plan.on_byte = pad ? isa::kJmpRel8 : isa::kJmpRel32;
  plan.prepare_count = 0;
  plan.jump_at = pad ? pad_jump(site) : site.unit;
}

}  // namespace

std::string_view name(Method method) {
  switch (method) {
    case Method::kNone:
      return "none";
    case Method::kPad:
      return "pad";
    case Method::kMirror:
      return "mirror";
    case Method::kTrap:
      return "trap";
    case Method::kJump:
      return "jump";
    case Method::kFarJump:
      return "far-jump";
    case Method::kCall:
      return "call";
  }
  return "unknown";
}

SitePlan classify(const site::Site& site, std::span<const std::uint8_t> unit_bytes, bool fixed_position) {
  SitePlan plan;
  plan.problem = site.problem;
  if (site.problem != site::SiteProblem::kNone) return plan;

  const auto bytes = unit_bytes.first(std::min<std::size_t>(unit_bytes.size(), site.entry_bytes));
  const Shape shape = shape_of(bytes);
  plan.form = shape.form;
  if (shape.form == Form::kNone) {
    plan.problem = site::SiteProblem::kNotNops;
    return plan;
  }
  plan.off_byte = bytes[0];
  if (can_use_pad(shape, site)) {
    use_pad(plan, site);
  } else if (can_use_mirror(shape)) {
    use_mirror(plan, shape, fixed_position);
  } else if (can_use_trap(shape, site)) {
    use_trap(plan, site);
    plan.body_offset = static_cast<std::uint8_t>(shape.instruction);
  } else {
    plan.problem = site::SiteProblem::kSledTooShort;
  }
  return plan;
}

bool can_have_stub_in_pad(const SitePlan& plan, const site::Site& site) {
  return plan.method == Method::kPad && site.pad_bytes >= -isa::kPadStubOffset &&
         isa::pad_displacement(isa::kPadStubOffset, site.landing_pad_bytes).has_value();
}

void set_stub_in_pad(SitePlan& plan, const site::Site& site, bool in_pad) {
  const std::int64_t offset = in_pad ? isa::kPadStubOffset : isa::kPadJumpOffset;
  plan.stub_in_pad = in_pad;
  plan.prepare[0].byte = *isa::pad_displacement(offset, site.landing_pad_bytes);
  plan.jump_at = site.entry + offset;
}

void set_displacement(SitePlan& plan, const site::Site& site, std::int32_t displacement) {
  if (!displacement_fits(plan.form, displacement)) {
    if (plan.form == Form::kOneByteNops) convert_to_nopl44(plan);
    use_trap(plan, site);
    return;
  }
  const Sled* sled = isa::find_sled(plan.form);
  plan.prepare_count = 0;
  for (std::uint8_t i = 1; i < isa::kJmpRel32Bytes; ++i) {
    if (sled->bytes[i].rule == ByteRule::kFixed) continue;
    plan.prepare[plan.prepare_count++] = {i, isa::displacement_byte(displacement, i)};
  }
  plan.jump_at = site.unit + (std::int64_t{isa::kJmpRel32Bytes} + displacement);
}

}  // namespace calltap::plan
