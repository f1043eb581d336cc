// Which functions a client wants, after the kernel's rules: an empty list means all, notrace wins.
//
// Pattern:   ["!"] [module-glob ":"] name-glob
//   globs    *  ?  [abc]  [a-z]  [!a-z]   \x quotes x
//   names    a pattern is matched against the symbol name, the demangled signature, and the demangled name without
//            its parameter list ("ns::Class::f" and "ns::Class::f(int)" both find ns::Class::f(int)); "::" is part of
//            names and never taken for the module separator
//   module   matched against the file's base name, with and without the part from ".so" on ("libfoo", "libfoo.so.1")
//   "!"      removes what earlier patterns of the same list selected
#pragma once

#include <cstdint>
#include <string_view>

#include "base/array.h"
#include "base/error.h"

namespace calltap::filter {

/// Glob match of the whole text. Linear time in practice (no exponential backtracking). Any thread, signal-safe.
bool glob_match(std::string_view pattern, std::string_view text);

struct FunctionName {
  std::string_view module;     // base name of the file
  std::string_view symbol;     // as in the symbol table; "module+0xoffset" for a stripped function
  std::string_view signature;  // demangled; equal to symbol where there is nothing to demangle
};

/// One parsed pattern. Views point into the text given to add(), which must outlive it.
struct Pattern {
  bool remove = false;
  bool any_module = true;
  std::string_view module;
  std::string_view name;
};
/// Errors: kFilterSyntax with `address` = column (from 1) of the offending character.
base::Result<Pattern> parse_pattern(std::string_view text);
bool matches(const Pattern& pattern, const FunctionName& function);

class Filter {
 public:
  /// -F. The text must outlive the filter.
  base::Result<void> add(std::string_view pattern);
  /// -N: never select what this matches, whatever add() says.
  base::Result<void> add_notrace(std::string_view pattern);
  [[nodiscard]] bool selects(const FunctionName& function) const;
  [[nodiscard]] bool empty() const { return patterns_.empty() && notrace_.empty(); }

 private:
  base::Array<Pattern> patterns_;
  base::Array<Pattern> notrace_;
};

/// Edit distance between two names, ignoring case, at most `limit` (then limit + 1). For "did you mean".
unsigned edit_distance(std::string_view a, std::string_view b, unsigned limit);

}  // namespace calltap::filter
