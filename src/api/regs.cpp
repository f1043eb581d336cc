// What handlers may ask of the registers. Runs inside hooked calls; general registers only.
#include <cerrno>

#include "calltap/calltap.h"
#include "trampoline/handlers.h"
#include "trampoline/regs.h"

#pragma GCC visibility push(default)

using namespace calltap::trampoline;

namespace {

std::uint64_t* stack_slot(const ct_regs* regs, unsigned n) {
  return reinterpret_cast<std::uint64_t*>(regs->sp() + kReturnSlotBytes) + n;
}

std::uint64_t& argument(const ct_regs* regs, unsigned n) {
  if (n >= kRegisterArguments) return *stack_slot(regs, n - kRegisterArguments);
  return integer_argument(*const_cast<ct_regs*>(regs), n);
}

bool is_exit(const ct_regs* regs) { return (regs->flags & CT_REGS_EXIT) != 0; }

}  // namespace

extern "C" {

std::uint64_t ct_regs_argument(const ct_regs* regs, unsigned n) {
  return is_exit(regs) ? 0 : argument(regs, n);
}

void ct_regs_set_argument(ct_regs* regs, unsigned n, std::uint64_t value) {
  if (!is_exit(regs)) argument(regs, n) = value;
}

std::uint64_t ct_regs_stack_argument(const ct_regs* regs, unsigned n) {
  return is_exit(regs) ? 0 : *stack_slot(regs, n);
}

std::uint64_t ct_regs_result_address(const ct_regs* regs) {
  return is_exit(regs) ? 0 : result_address(*const_cast<ct_regs*>(regs));
}

void* ct_regs_vector(ct_regs* regs, unsigned n, std::size_t* bytes) {
  const std::size_t width = vector_bytes(*regs);
  if (bytes != nullptr) *bytes = width;
  if (width == 0 || n >= (is_exit(regs) ? kVectorResults : kVectorArguments)) return nullptr;
  return vector_register(*regs, n);
}

std::uint64_t ct_regs_ip(const ct_regs* regs) { return calltap::trampoline::ip_of(*regs); }
std::uint64_t ct_regs_parent_ip(const ct_regs* regs) { return calltap::trampoline::parent_of(*regs); }
std::uint64_t ct_regs_sp(const ct_regs* regs) { return regs->sp(); }

std::uint64_t ct_regs_return_word(const ct_regs* regs, unsigned n) {
  if (!is_exit(regs) || ct_regs_unwound(regs) != 0 || n > 1) return 0;
  return result_word(*const_cast<ct_regs*>(regs), n);
}

std::uint64_t ct_regs_return_value(const ct_regs* regs) { return ct_regs_return_word(regs, 0); }

void ct_regs_set_return_word(ct_regs* regs, unsigned n, std::uint64_t value) {
  if (is_exit(regs) && n <= 1) result_word(*regs, n) = value;
}

void ct_regs_set_return_value(ct_regs* regs, std::uint64_t value) { ct_regs_set_return_word(regs, 0, value); }

int ct_regs_unwound(const ct_regs* regs) { return (regs->flags & CT_REGS_UNWOUND) != 0 ? 1 : 0; }

void ct_regs_override_return_word(ct_regs* regs, unsigned n, std::uint64_t value) {
  if (is_exit(regs) || n > 1) return;
  override_word(*regs, n) = value;
  regs->flags |= CT_REGS_OVERRIDE;
}

void ct_regs_override_return(ct_regs* regs, std::uint64_t value) {
  ct_regs_override_return_word(regs, 0, value);
}

int ct_regs_overridden(const ct_regs* regs) { return (regs->flags & CT_REGS_OVERRIDE) != 0 ? 1 : 0; }

int ct_regs_set_ip(ct_regs* regs, std::uint64_t ip) {
  if ((regs->flags & CT_REGS_MAY_SET_IP) == 0) return -EPERM;
  if ((regs->flags & CT_REGS_OVERRIDE) != 0) return 0;
  if (ip == regs->record->entry) {  // there the handler would be called again
    regs->flags &= ~static_cast<std::uint32_t>(CT_REGS_SET_IP);
    return 0;
  }
  regs->target = ip;
  regs->flags |= CT_REGS_SET_IP;
  return 0;
}
}

#pragma GCC visibility pop
