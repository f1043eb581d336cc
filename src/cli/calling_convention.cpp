#include "cli/calling_convention.h"

#include <algorithm>

namespace calltap::cli {
namespace {

using Place = trace::Parameter::Place;
using Class = PassedType::Class;

constexpr std::uint64_t kWord = 8;
constexpr std::uint64_t kFloats = 8;

std::uint64_t words(std::uint64_t bytes) { return (bytes + kWord - 1) / kWord; }

std::uint64_t integer_registers(Architecture architecture) {
  return architecture == Architecture::kX86_64 ? 6 : 8;
}

/// Nothing that only packing makes possible, and something at all.
bool is_plain(const PassedType& type) {
  return !type.fields.empty() && std::all_of(type.fields.begin(), type.fields.end(), [](const auto& f) {
    return f.bytes != 0 && f.bytes <= kWord && f.offset % f.bytes == 0;
  });
}

}  // namespace

/// AAPCS64 has a register of its own for the result's address.
void CallingConvention::returns(const PassedType& type) {
  if (architecture_ == Architecture::kAArch64) return;
  if (type.kind == Class::kUnknown) return lose_track();
  const bool is_object = type.kind == Class::kAggregate || type.kind == Class::kByReference;
  if (!is_object) return;
  if (type.kind == Class::kByReference || type.bytes > 2 * kWord) {
    take_integers(1);
  } else if (!is_plain(type)) {
    lose_track();
  }
}

/// All of them or, on the stack, none.
CallingConvention::Register CallingConvention::take_integers(std::uint64_t count) {
  if (integers_ + count > integer_registers(architecture_)) {
    // AAPCS64 lets no later parameter have a register then; RISC-V splits what does not fit.
    if (architecture_ != Architecture::kX86_64) integers_ = integer_registers(architecture_);
    return {};
  }
  const Register first{Place::kInteger, static_cast<std::uint8_t>(integers_)};
  integers_ += count;
  return first;
}

CallingConvention::Register CallingConvention::take_floats(std::uint64_t count) {
  if (floats_ + count > kFloats) {
    if (architecture_ == Architecture::kAArch64) floats_ = kFloats;
    return {};
  }
  const Register first{Place::kFloat, static_cast<std::uint8_t>(floats_)};
  floats_ += count;
  return first;
}

CallingConvention::Register CallingConvention::pass(const PassedType& type) {
  if (architecture_ == Architecture::kUnknown) lose_track();
  if (lost_) return {};
  switch (type.kind) {
    case Class::kInteger:
      if (type.bytes <= kWord) return take_integers(1);
      if (architecture_ == Architecture::kAArch64) integers_ += integers_ % 2;
      take_integers(words(type.bytes));
      return {};
    case Class::kFloat:
      if (type.is_x87) return {};  // on the stack
      if (architecture_ == Architecture::kRiscV64) {
        // Of 16 bytes it is an integer, and so is what finds no register of its own.
        if (type.bytes > kWord) return take_integers(2), Register{};
        if (floats_ == kFloats) return take_integers(1);
      }
      return type.bytes > kWord ? (take_floats(1), Register{}) : take_floats(1);
    case Class::kByReference:
      take_integers(1);
      return {};
    case Class::kAggregate:
      return pass_aggregate(type);
    case Class::kUnknown:
      break;
  }
  lose_track();
  return {};
}

/// Its values are not shown: only what it takes matters.
CallingConvention::Register CallingConvention::pass_aggregate(const PassedType& type) {
  switch (architecture_) {
    case Architecture::kX86_64:
      pass_on_x86_64(type);
      break;
    case Architecture::kAArch64:
      pass_on_aarch64(type);
      break;
    case Architecture::kRiscV64:
      pass_on_riscv64(type);
      break;
    case Architecture::kUnknown:
      break;
  }
  return {};
}

/// System V ABI, 3.2.3: each half is of the class of what is in it.
void CallingConvention::pass_on_x86_64(const PassedType& type) {
  if (type.bytes > 2 * kWord) return;  // on the stack
  if (!is_plain(type)) return lose_track();
  bool is_integer[2] = {};
  for (const PassedType::Field& f : type.fields) {
    if (f.offset < 2 * kWord && !f.is_float) is_integer[f.offset / kWord] = true;
  }
  std::uint64_t integers = 0;
  std::uint64_t floats = 0;
  for (std::uint64_t i = 0; i < words(type.bytes); ++i) ++(is_integer[i] ? integers : floats);
  // All of it in registers, or none.
  if (integers_ + integers > integer_registers(architecture_) || floats_ + floats > kFloats) return;
  take_integers(integers);
  take_floats(floats);
}

/// AAPCS64, 6.8.2: up to four equal floating-point numbers are passed as such.
void CallingConvention::pass_on_aarch64(const PassedType& type) {
  const bool is_equal = !type.fields.empty() && type.fields.size() <= 4 &&
                        std::all_of(type.fields.begin(), type.fields.end(), [&](const auto& f) {
                          return f.is_float && f.bytes == type.fields[0].bytes;
                        });
  if (is_equal && type.fields.size() * type.fields[0].bytes == type.bytes) {
    take_floats(type.fields.size());
  } else if (type.bytes > 2 * kWord) {
    take_integers(1);  // its address
  } else if (is_plain(type)) {
    take_integers(words(type.bytes));
  } else {
    lose_track();
  }
}

/// LP64D: one or two fields of which one or both are floating-point come in such registers.
void CallingConvention::pass_on_riscv64(const PassedType& type) {
  if (type.bytes > 2 * kWord) return void(take_integers(1));  // its address
  if (!is_plain(type)) return lose_track();
  const auto floats = static_cast<std::uint64_t>(
      std::count_if(type.fields.begin(), type.fields.end(), [](const auto& f) { return f.is_float; }));
  const std::uint64_t integers = type.fields.size() - floats;
  if (type.fields.size() <= 2 && floats != 0 && floats_ + floats <= kFloats && integers_ + integers <= 8) {
    take_floats(floats);
    take_integers(integers);
    return;
  }
  take_integers(words(type.bytes));
}

}  // namespace calltap::cli
