// Which functions a client wants, after the kernel's rules: an empty list means all, notrace wins.
//
// Pattern:   ["!"] [module-glob ":"] name-glob
//   globs    *  ?  [abc]  [a-z]  [!a-z]   \x quotes x; a "]" that comes first in a set belongs to it
//   names    a pattern is matched against the symbol name, the demangled signature, and the demangled name
//            without its parameter list and what follows it ("ns::Class::f" and "ns::Class::f(int)*" both
//            find ns::Class::f(int) const), the latter with and without the return type that a template's
//            signature has ("std::max<int>" and "int const& std::max<int>" both find
//            "int const& std::max<int>(...)"). "()" at the end is an empty parameter list, but for that of
//            "operator()". "::" is part of names and never taken for the module separator
//   module   matched against the file's base name, with and without the part from ".so" on ("libfoo",
//   "libfoo.so.1")
//   "!"      removes what earlier patterns of the same list selected; a list that starts with "!" starts from
//   all
//
// Everything here is free of state but its own objects: any thread, signal-safe on distinct objects.
#pragma once

#include <span>
#include <string_view>

#include "base/array.h"
#include "base/error.h"

namespace calltap::filter {

/// Glob match of the whole text, in at most |pattern| * |text| steps. A set without its "]" matches a literal
/// "[".
bool glob_match(std::string_view pattern, std::string_view text);

struct FunctionName {
  std::string_view module;     // base name of the file
  std::string_view symbol;     // as in the symbol table; "module+0xoffset" for a stripped function
  std::string_view signature;  // demangled; equal to symbol where there is nothing to demangle
};

/// "ns::f<int>(char*) const" -> "ns::f<int>"; a text without a parameter list stays as it is.
std::string_view without_parameters(std::string_view signature);
/// The same without the return type that a template's signature has: "int ns::f<int>(char*)" -> "ns::f<int>".
std::string_view qualified_name(std::string_view signature);

/// One parsed pattern. Views point into the text given to add(), which must outlive it.
struct Pattern {
  bool remove = false;
  bool any_module = true;
  std::string_view module;
  std::string_view name;
};
/// Errors: kFilterSyntax with `address` = column (from 1) of the offending character, one past the last where
/// something is missing at the end.
base::Result<Pattern> parse_pattern(std::string_view text);
bool matches(const Pattern& pattern, const FunctionName& function);
/// The two halves of that: `module` is a file's base name; the other looks at symbol and signature only.
bool matches_module(const Pattern& pattern, std::string_view module);
bool matches_name(const Pattern& pattern, const FunctionName& function);

class Filter {
 public:
  /// -F. The text must outlive the filter. Errors: kFilterSyntax (see parse_pattern), kOutOfMemory.
  base::Result<void> add(std::string_view pattern);
  /// -N: never select what this matches, whatever add() says. A "!" takes back what earlier -N patterns
  /// excluded.
  base::Result<void> add_notrace(std::string_view pattern);
  [[nodiscard]] bool selects(const FunctionName& function) const;
  [[nodiscard]] bool empty() const { return patterns_.empty() && notrace_.empty(); }
  [[nodiscard]] std::span<const Pattern> patterns() const { return patterns_; }

 private:
  base::Array<Pattern> patterns_;
  base::Array<Pattern> notrace_;
};

}  // namespace calltap::filter
