#include "filter/filter.h"

namespace calltap::filter {
namespace {

std::string_view slice(std::string_view text, std::size_t begin, std::size_t end) {
  return {text.data() + begin, end - begin};
}

base::Error syntax_error(std::size_t index) {
  return base::Error(base::ErrorCode::kFilterSyntax, 0, index + 1);
}

/// Checks the set that starts at `at` and returns the index behind it.
base::Result<std::size_t> check_set(std::string_view text, std::size_t at) {
  std::size_t i = at + 1;
  if (i < text.size() && text[i] == '!') ++i;
  for (bool first = true; i < text.size(); first = false) {
    if (text[i] == ']' && !first) return i + 1;
    const std::size_t range_at = i;
    if (text[i] == '\\' && ++i == text.size()) return syntax_error(range_at);
    const auto low = static_cast<unsigned char>(text[i++]);
    if (i + 1 >= text.size() || text[i] != '-' || text[i + 1] == ']') continue;
    ++i;
    if (text[i] == '\\' && ++i == text.size()) return syntax_error(i - 1);
    if (static_cast<unsigned char>(text[i++]) < low) return syntax_error(range_at);
  }
  return syntax_error(at);
}

/// Where the separator between module and name is, npos if there is none. Checks the globs on the way.
base::Result<std::size_t> find_separator(std::string_view text, std::size_t begin) {
  std::size_t separator = std::string_view::npos;
  std::size_t scope = std::string_view::npos;
  for (std::size_t i = begin; i < text.size();) {
    if (text[i] == '\\') {
      if (i + 1 == text.size()) return syntax_error(i);
      i += 2;
    } else if (text[i] == '[') {
      auto end = check_set(text, i);
      if (!end) return end.error();
      i = *end;
    } else if (text[i] != ':' || separator != std::string_view::npos) {
      ++i;
    } else if (i + 1 < text.size() && text[i + 1] == ':') {
      scope = scope == std::string_view::npos ? i : scope;
      i += 2;
    } else if (scope != std::string_view::npos) {
      return syntax_error(scope);  // no file is called "a::b"
    } else {
      separator = i++;
    }
  }
  return separator;
}

/// Later patterns override earlier ones.
bool list_selects(std::span<const Pattern> patterns, const FunctionName& function, bool selected) {
  for (const Pattern& pattern : patterns) {
    if (selected == pattern.remove && matches(pattern, function)) selected = !pattern.remove;
  }
  return selected;
}

base::Result<void> add_to(base::Array<Pattern>& list, std::string_view text) {
  auto pattern = parse_pattern(text);
  if (!pattern) return pattern.error();
  if (!list.push_back(*pattern)) return base::ErrorCode::kOutOfMemory;
  return {};
}

}  // namespace

base::Result<Pattern> parse_pattern(std::string_view text) {
  Pattern pattern;
  std::size_t begin = 0;
  if (text.starts_with('!')) {
    pattern.remove = true;
    begin = 1;
  }
  auto separator = find_separator(text, begin);
  if (!separator) return separator.error();
  if (*separator != std::string_view::npos) {
    if (*separator == begin) return syntax_error(begin);
    pattern.any_module = false;
    pattern.module = slice(text, begin, *separator);
    begin = *separator + 1;
  }
  if (begin == text.size()) return syntax_error(begin);
  pattern.name = slice(text, begin, text.size());
  return pattern;
}

bool matches(const Pattern& pattern, const FunctionName& function) {
  return matches_module(pattern, function.module) && matches_name(pattern, function);
}

bool matches_module(const Pattern& pattern, std::string_view module) {
  if (pattern.any_module || glob_match(pattern.module, module)) return true;
  const std::size_t so = module.find(".so");
  return so != std::string_view::npos && glob_match(pattern.module, slice(module, 0, so));
}

bool matches_name(const Pattern& pattern, const FunctionName& function) {
  if (glob_match(pattern.name, function.symbol)) return true;
  if (function.signature.data() == function.symbol.data()) return false;
  if (glob_match(pattern.name, function.signature)) return true;
  // "*()" asks for functions without parameters; what "operator()" ends with is not meant.
  if (pattern.name.ends_with("()") && !pattern.name.ends_with("operator()")) return false;
  const std::string_view call = without_parameters(function.signature);
  if (glob_match(pattern.name, call)) return true;
  const std::string_view name = qualified_name(function.signature);
  return name.size() != call.size() && glob_match(pattern.name, name);
}

base::Result<void> Filter::add(std::string_view pattern) { return add_to(patterns_, pattern); }
base::Result<void> Filter::add_notrace(std::string_view pattern) { return add_to(notrace_, pattern); }

bool Filter::selects(const FunctionName& function) const {
  const bool from_all = patterns_.empty() || patterns_[0].remove;
  return list_selects(patterns_, function, from_all) && !list_selects(notrace_, function, false);
}

}  // namespace calltap::filter
