// The accessors whose arguments or results are floating-point: the only code of the library that touches
// vector registers. Handlers that are called with general registers only have no business here.
#include <cstring>

#include "calltap/calltap.h"
#include "trampoline/regs.h"

#pragma GCC visibility push(default)

using calltap::trampoline::kAboveFloat;

namespace {

template <class Value>
Value read_vector(const ct_regs* regs, unsigned n) {
  Value value = 0;
  if (const void* at = ct_regs_vector(const_cast<ct_regs*>(regs), n, nullptr))
    std::memcpy(&value, at, sizeof value);
  return value;
}

bool is_exit(const ct_regs* regs) { return (regs->flags & CT_REGS_EXIT) != 0; }

template <class Value>
Value argument(const ct_regs* regs, unsigned n) {
  return is_exit(regs) ? 0 : read_vector<Value>(regs, n);
}

template <class Value>
Value return_value(const ct_regs* regs) {
  return is_exit(regs) && ct_regs_unwound(regs) == 0 ? read_vector<Value>(regs, 0) : 0;
}

template <class Value>
void set_return_value(ct_regs* regs, Value value) {
  if (!is_exit(regs)) return;
  void* at = ct_regs_vector(regs, 0, nullptr);
  if (at == nullptr) return;
  if constexpr (sizeof value == sizeof(float) && kAboveFloat != 0) {
    std::memcpy(static_cast<char*>(at) + sizeof value, &kAboveFloat, sizeof kAboveFloat);
  }
  std::memcpy(at, &value, sizeof value);
}

template <class Value>
void override_return(ct_regs* regs, Value value) {
  if (is_exit(regs)) return;
  regs->target = sizeof value == sizeof(float) ? std::uint64_t{kAboveFloat} << 32 : 0;
  std::memcpy(&regs->target, &value, sizeof value);
  regs->flags = (regs->flags & ~static_cast<std::uint32_t>(CT_REGS_SET_IP)) | CT_REGS_OVERRIDE |
                CT_REGS_OVERRIDE_VECTOR;
}

}  // namespace

extern "C" {

double ct_regs_double_argument(const ct_regs* regs, unsigned n) { return argument<double>(regs, n); }
float ct_regs_float_argument(const ct_regs* regs, unsigned n) { return argument<float>(regs, n); }

double ct_regs_double_return_value(const ct_regs* regs) { return return_value<double>(regs); }
float ct_regs_float_return_value(const ct_regs* regs) { return return_value<float>(regs); }

void ct_regs_set_double_return_value(ct_regs* regs, double value) { set_return_value(regs, value); }
void ct_regs_set_float_return_value(ct_regs* regs, float value) { set_return_value(regs, value); }

void ct_regs_override_double_return(ct_regs* regs, double value) { override_return(regs, value); }
void ct_regs_override_float_return(ct_regs* regs, float value) { override_return(regs, value); }
}

#pragma GCC visibility pop
