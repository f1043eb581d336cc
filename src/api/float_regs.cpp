// The accessors whose arguments or results are floating-point: the only code of the library that touches
// vector registers. Handlers that are called with general registers only have no business here.
#include <cstring>

#include "calltap/calltap.h"
#include "trampoline/clients.h"

#pragma GCC visibility push(default)

namespace {

template <class Value>
Value read_vector(const ct_regs* regs, unsigned n) {
  Value value = 0;
  if (const void* at = ct_regs_vector(const_cast<ct_regs*>(regs), n, nullptr))
    std::memcpy(&value, at, sizeof value);
  return value;
}

bool is_exit(const ct_regs* regs) { return (regs->flags & CT_REGS_EXIT) != 0; }

}  // namespace

extern "C" {

double ct_regs_double_argument(const ct_regs* regs, unsigned n) {
  return is_exit(regs) ? 0 : read_vector<double>(regs, n);
}

float ct_regs_float_argument(const ct_regs* regs, unsigned n) {
  return is_exit(regs) ? 0 : read_vector<float>(regs, n);
}

double ct_regs_double_return_value(const ct_regs* regs) {
  return is_exit(regs) && ct_regs_unwound(regs) == 0 ? read_vector<double>(regs, 0) : 0;
}

void ct_regs_set_double_return_value(ct_regs* regs, double value) {
  if (!is_exit(regs)) return;
  if (void* at = ct_regs_vector(regs, 0, nullptr)) std::memcpy(at, &value, sizeof value);
}

void ct_regs_override_double_return(ct_regs* regs, double value) {
  if (is_exit(regs)) return;
  std::memcpy(&regs->target, &value, sizeof value);
  regs->flags = (regs->flags & ~static_cast<std::uint32_t>(CT_REGS_SET_IP)) | CT_REGS_OVERRIDE |
                CT_REGS_OVERRIDE_VECTOR;
}
}

#pragma GCC visibility pop
