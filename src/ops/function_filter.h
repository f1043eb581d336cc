// Which functions a client wants, and asking that of functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/array.h"
#include "base/error.h"
#include "filter/filter.h"

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

  /// Writes addresses, patterns and symbols, "0x1234, a, !b, not c"; where they do not fit, as many as do and
  /// "...".
  void print(std::span<char> out) const;

  [[nodiscard]] bool empty() const { return text_.empty() && removed_.empty() && !by_address_; }
  /// What it says is only what to leave out of all functions: nothing comes first that selects. Addresses
  /// select also when they are gone.
  [[nodiscard]] bool starts_from_all() const;
  /// There were addresses, and nothing else that selects; all of them are gone.
  [[nodiscard]] bool has_lost_all() const;
  /// Functions were named one by one: then each of them must be one that can be patched.
  [[nodiscard]] bool has_exact() const;

 private:
  friend class Matcher;
  enum class Entry : char { kPattern = 'F', kNotrace = 'N', kSymbol = 'S' };
  template <class Visit>
  void for_each(Visit visit) const {
    for (std::size_t at = 0; at < text_.size();) {
      const std::string_view text(text_.data() + at + 1);
      visit(static_cast<Entry>(text_[at]), text);
      at += text.size() + 2;
    }
  }
  [[nodiscard]] bool adds_by_text() const;
  base::Result<void> add_text(Entry entry, std::string_view text);

  base::Array<char> text_;                // entries: kind, text, zero
  base::Array<std::uint64_t> addresses_;  // both ascending
  base::Array<std::uint64_t> removed_;
  bool by_address_ = false;  // an address was added: when the last one is removed, that is none, not all
};

/// A filter that is about to be asked, about one module after the other. The FunctionFilter must outlive it
/// and not change.
class Matcher {
 public:
  /// Errors: kOutOfMemory.
  base::Result<void> prepare(const FunctionFilter& filter);

  /// Where to look for the functions of a module that the filter selects.
  enum class Scope : std::uint8_t {
    kNothing,  // nowhere: the filter selects none
    kNamed,    // among those that have one of the symbols or addresses
    kAny,      // every function has to be asked
    kAll,      // no question: the filter selects all
  };
  /// The questions that follow are about this module, whose functions lie at [first, last].
  void enter(std::string_view module, std::uint64_t first, std::uint64_t last);
  [[nodiscard]] Scope scope() const { return scope_; }
  /// Whether the answers depend on the symbol, and on the demangled signature.
  [[nodiscard]] bool needs_symbol() const { return needs_symbol_; }
  [[nodiscard]] bool needs_signature() const { return needs_signature_; }
  [[nodiscard]] bool selects(const filter::FunctionName& function, std::uint64_t address) const;
  /// Whether the function was named by symbol or address.
  [[nodiscard]] bool is_exact(std::string_view symbol, std::uint64_t address) const;

  /// The module's part of the addresses, ascending.
  [[nodiscard]] std::span<const std::uint64_t> addresses() const { return addresses_; }
  template <class Visit>
  void for_each_symbol(Visit visit) const {
    for (const Rule& rule : rules_) {
      if (rule.kind == FunctionFilter::Entry::kSymbol) visit(rule.pattern.name);
    }
  }
  /// visit(filter::Pattern, is_symbol) for what adds functions, in the order in which it was given. Of all
  /// modules.
  template <class Visit>
  void for_each_wanted(Visit visit) const {
    for (const Rule& rule : rules_) {
      if (rule.kind == FunctionFilter::Entry::kNotrace || rule.pattern.remove) continue;
      visit(rule.pattern, rule.kind == FunctionFilter::Entry::kSymbol);
    }
  }

 private:
  struct Rule {
    FunctionFilter::Entry kind = FunctionFilter::Entry::kPattern;
    bool is_here = false;     // it can match functions of the module
    filter::Pattern pattern;  // a symbol is its name
  };

  const FunctionFilter* filter_ = nullptr;
  base::Array<Rule> rules_;  // in the order in which they were given
  bool starts_from_all_ = false;
  std::span<const std::uint64_t> addresses_;
  Scope scope_ = Scope::kNothing;
  bool needs_symbol_ = false;
  bool needs_signature_ = false;
};

}  // namespace calltap::ops
