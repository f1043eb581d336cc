// The registers of a hooked call, as handlers see them: EntryRegs in entry handlers, ExitRegs in exit
// handlers.
//
// Views: cheap to copy, valid until the handler returns, for the thread that runs it only. Nothing fails:
// what there is not reads as 0. Any context, also a signal handler inside the handler.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include "calltap/calltap.h"

namespace calltap {

/// What is passed in one general register: integers, enumerations and pointers.
template <class Value>
concept RegisterValue = (std::is_integral_v<Value> || std::is_enum_v<Value> ||
                         std::is_pointer_v<Value>)&&sizeof(Value) <= 8;

template <RegisterValue Value>
[[nodiscard]] Value from_register(std::uint64_t bits) {
  if constexpr (std::is_pointer_v<Value>) {
    return reinterpret_cast<Value>(bits);
  } else if constexpr (std::is_same_v<Value, bool>) {
    return (bits & 0xff) != 0;  // the caller may have left anything in the upper bits
  } else {
    return static_cast<Value>(bits);
  }
}

template <RegisterValue Value>
[[nodiscard]] std::uint64_t to_register(Value value) {
  if constexpr (std::is_pointer_v<Value>) {
    return reinterpret_cast<std::uint64_t>(value);
  } else {
    return static_cast<std::uint64_t>(value);
  }
}

class Regs {
 public:
  Regs(std::uint64_t ip, std::uint64_t parent_ip, ct_regs* regs)
      : ip_(ip), parent_ip_(parent_ip), regs_(regs) {}

  /// Address of the function: what a pointer to it holds.
  [[nodiscard]] std::uint64_t ip() const { return ip_; }
  /// Address that the call returns to.
  [[nodiscard]] std::uint64_t parent_ip() const { return parent_ip_; }
  /// The stack pointer at the entry: where the return address is.
  [[nodiscard]] std::uint64_t sp() const { return ct_regs_sp(regs_); }
  /// The n-th vector argument register, in exit handlers that of the return value (n 0 or 1): the 16, 32 or
  /// 64 bytes that the program may be using. Writing changes the register. Empty with general_regs_only.
  [[nodiscard]] std::span<std::byte> vector(unsigned n) const {
    std::size_t bytes = 0;
    auto* at = static_cast<std::byte*>(ct_regs_vector(regs_, n, &bytes));
    return at == nullptr ? std::span<std::byte>() : std::span(at, bytes);
  }
  /// For the functions of calltap.h.
  [[nodiscard]] ct_regs* get() const { return regs_; }

 private:
  std::uint64_t ip_;
  std::uint64_t parent_ip_;
  ct_regs* regs_;
};

class EntryRegs : public Regs {
 public:
  using Regs::Regs;

  /// The n-th (from 0) argument among those that are passed as integers or pointers: registers first (0 to
  /// 5), then the stack, where n counts 8-byte slots on. How many of these the call has is not known, so n is
  /// not checked: beyond them lies what belongs to the callers.
  template <RegisterValue Value = std::uint64_t>
  [[nodiscard]] Value argument(unsigned n) const {
    return from_register<Value>(ct_regs_argument(get(), n));
  }
  template <RegisterValue Value>
  void set_argument(unsigned n, Value value) const {
    ct_regs_set_argument(get(), n, to_register(value));
  }
  /// The n-th (from 0) 8-byte slot of stack arguments, not checked either.
  template <RegisterValue Value = std::uint64_t>
  [[nodiscard]] Value stack_argument(unsigned n) const {
    return from_register<Value>(ct_regs_stack_argument(get(), n));
  }
  /// Where the function is to build a result that is returned in memory, if it has such a one.
  template <RegisterValue Value = std::uint64_t>
  [[nodiscard]] Value result_address() const {
    return from_register<Value>(ct_regs_result_address(get()));
  }
  /// The n-th (0 to 7, else 0 is returned) among the arguments of class double or float.
  [[nodiscard]] double double_argument(unsigned n) const { return ct_regs_double_argument(get(), n); }
  [[nodiscard]] float float_argument(unsigned n) const { return ct_regs_float_argument(get(), n); }

  /// Do not run the function: return this. Later entry handlers and the exit handlers of the call still run.
  /// Which of these are for which types is in docs/api.md.
  template <RegisterValue Value>
  void override_return(Value value) const {
    ct_regs_override_return(get(), to_register(value));
  }
  /// The n-th (0 or 1) word of a 16-byte result.
  void override_return_word(unsigned n, std::uint64_t value) const {
    ct_regs_override_return_word(get(), n, value);
  }
  void override_double_return(double value) const { ct_regs_override_double_return(get(), value); }
  void override_float_return(float value) const { ct_regs_override_float_return(get(), value); }
  /// This or an earlier handler has done that.
  [[nodiscard]] bool overridden() const { return ct_regs_overridden(get()) != 0; }
  /// Go on at this address in place of the function. False, and nothing has changed, in a handler of a client
  /// that was made without Options::ipmodify.
  bool set_ip(std::uint64_t ip) const { return ct_regs_set_ip(get(), ip) == 0; }
};

class ExitRegs : public Regs {
 public:
  using Regs::Regs;

  /// The call ended by an exception, a longjmp or the end of its thread: there is no return value.
  [[nodiscard]] bool unwound() const { return ct_regs_unwound(get()) != 0; }
  template <RegisterValue Value = std::uint64_t>
  [[nodiscard]] Value return_value() const {
    return from_register<Value>(ct_regs_return_value(get()));
  }
  /// The n-th (0 or 1) word of a 16-byte return value.
  [[nodiscard]] std::uint64_t return_word(unsigned n) const { return ct_regs_return_word(get(), n); }
  [[nodiscard]] double double_return_value() const { return ct_regs_double_return_value(get()); }
  [[nodiscard]] float float_return_value() const { return ct_regs_float_return_value(get()); }
  template <RegisterValue Value>
  void set_return_value(Value value) const {
    ct_regs_set_return_value(get(), to_register(value));
  }
  void set_return_word(unsigned n, std::uint64_t value) const { ct_regs_set_return_word(get(), n, value); }
  void set_double_return_value(double value) const { ct_regs_set_double_return_value(get(), value); }
  void set_float_return_value(float value) const { ct_regs_set_float_return_value(get(), value); }
};

}  // namespace calltap
