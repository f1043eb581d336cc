// A client as the engine sees it: what the C interface calls ct_ops.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/array.h"
#include "base/error.h"
#include "filter/filter.h"
#include "trampoline/clients.h"

namespace calltap::ops {

/// Which functions a client wants. Kept as text, because the functions may come later.
class FunctionFilter {
 public:
  /// Errors: kFilterSyntax (address = column), kOutOfMemory. On error nothing has changed.
  base::Result<void> add_pattern(std::string_view pattern, bool notrace);
  base::Result<void> add_symbol(std::string_view symbol);
  base::Result<void> add_address(std::uint64_t address);
  /// The function is not selected, whatever patterns say, until its address is added.
  base::Result<void> remove_address(std::uint64_t address);
  /// As if these had never been added or removed, except that nothing becomes everything.
  void remove_addresses(std::uint64_t first, std::uint64_t last);
  /// Drops what was given with the same verb.
  void clear_patterns(bool notrace);
  base::Result<void> copy_from(const FunctionFilter& other);

  /// Nothing that selects: all functions, less those that notrace excludes.
  [[nodiscard]] bool selects_all() const;
  /// Functions were named one by one: then each of them must be one that can be patched.
  [[nodiscard]] bool has_exact() const;

 private:
  friend class Matcher;
  enum class Entry : char { kPattern = 'F', kNotrace = 'N', kSymbol = 'S' };
  template <class Visit>
  void for_each(Visit visit) const;
  base::Result<void> add_text(Entry entry, std::string_view text);

  base::Array<char> text_;  // entries: kind, text, zero
  base::Array<std::uint64_t> addresses_;
  base::Array<std::uint64_t> removed_;
  bool by_address_ = false;  // an address was added: when the last one is removed, that is none, not all
};

/// A filter that is about to be asked. The FunctionFilter must outlive it and not change.
class Matcher {
 public:
  /// Errors: kOutOfMemory.
  base::Result<void> prepare(const FunctionFilter& filter);
  /// Names decide nothing: not even the symbol has to be looked up.
  [[nodiscard]] bool needs_symbol() const { return !all_ && needs_symbol_; }
  /// Patterns decide: the demangled signature has to be there.
  [[nodiscard]] bool needs_signature() const { return !patterns_.empty(); }
  [[nodiscard]] bool selects(const filter::FunctionName& function, std::uint64_t address) const;
  /// The same, and says whether the function was named by symbol or address.
  [[nodiscard]] bool is_exact(const filter::FunctionName& function, std::uint64_t address) const;

 private:
  const FunctionFilter* filter_ = nullptr;
  filter::Filter patterns_;
  filter::Filter notrace_;  // the notrace patterns alone
  bool has_exact_ = false;
  bool all_ = false;
  bool needs_symbol_ = false;
};

enum class Role : std::uint8_t { kHandlers, kDirect, kRedirect };
enum class ClientState : std::uint8_t { kUnused, kIdle, kRegistered, kDisabled, kLeaving };

}  // namespace calltap::ops

struct ct_ops : calltap::trampoline::Client {
  calltap::ops::ClientState state = calltap::ops::ClientState::kUnused;
  calltap::ops::Role role = calltap::ops::Role::kHandlers;
  bool is_recorder = false;
  std::uint64_t order = 0;                            // of registration
  std::uint64_t target = 0;                           // of a direct call or redirect
  std::uint64_t functions = 0;                        // it is attached to
  calltap::trampoline::Counters counted_before = {};  // by earlier owners of its counters
  calltap::ops::FunctionFilter filter;
  char name[64] = {};

  [[nodiscard]] bool is_registered() const {
    return state == calltap::ops::ClientState::kRegistered || state == calltap::ops::ClientState::kDisabled;
  }
  [[nodiscard]] bool is_permanent() const {
    if ((flags & CT_NOT_PERMANENT) != 0) return false;
    return (flags & CT_PERMANENT) != 0 || role != calltap::ops::Role::kHandlers;
  }
  /// A function can have one of these.
  [[nodiscard]] bool is_redirect() const {
    return role == calltap::ops::Role::kRedirect || (flags & CT_IPMODIFY) != 0;
  }
};

namespace calltap::ops {

/// A client nobody uses, kIdle, or null when there are kMaxClients or memory is exhausted. Under the engine's
/// lock.
ct_ops* new_client();
/// Gives an idle client back. Under the engine's lock.
void free_client(ct_ops& client);
/// All places where there can be clients, for walking; those in use have another state than kUnused.
std::span<ct_ops> all_clients();

}  // namespace calltap::ops
