#include "filter/filter.h"

namespace calltap::filter {
namespace {

/// One non-star element of a pattern: how long it is and whether it matches a character.
struct Element {
  std::size_t length = 1;
  bool matched = false;
};

/// `at` is the position of "[". A length of 0 means that the set is not closed.
Element match_set(std::string_view pattern, std::size_t at, char c) {
  std::size_t i = at + 1;
  const bool negated = i < pattern.size() && pattern[i] == '!';
  if (negated) ++i;
  const auto value = static_cast<unsigned char>(c);
  bool found = false;
  for (bool first = true; i < pattern.size(); first = false) {
    if (pattern[i] == ']' && !first) return {i + 1 - at, found != negated};
    if (pattern[i] == '\\' && i + 1 < pattern.size()) ++i;
    const auto low = static_cast<unsigned char>(pattern[i++]);
    auto high = low;
    if (i + 1 < pattern.size() && pattern[i] == '-' && pattern[i + 1] != ']') {
      ++i;
      if (pattern[i] == '\\' && i + 1 < pattern.size()) ++i;
      high = static_cast<unsigned char>(pattern[i++]);
    }
    if (low <= value && value <= high) found = true;
  }
  return {0, false};
}

Element match_element(std::string_view pattern, std::size_t at, char c) {
  switch (pattern[at]) {
    case '?':
      return {1, true};
    case '[':
      if (const Element set = match_set(pattern, at, c); set.length != 0) return set;
      return {1, c == '['};
    case '\\':
      if (at + 1 < pattern.size()) return {2, pattern[at + 1] == c};
      return {1, c == '\\'};
    default:
      return {1, pattern[at] == c};
  }
}

}  // namespace

// On a mismatch only the last star can take one more character: what an earlier star could do with it, the
// last one can do as well. So there is one position to go back to, and no recursion.
bool glob_match(std::string_view pattern, std::string_view text) {
  constexpr std::size_t kNoStar = std::string_view::npos;
  std::size_t p = 0;
  std::size_t t = 0;
  std::size_t after_star = kNoStar;
  std::size_t star_text = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      after_star = ++p;
      star_text = t;
      continue;
    }
    if (p < pattern.size()) {
      if (const Element element = match_element(pattern, p, text[t]); element.matched) {
        p += element.length;
        ++t;
        continue;
      }
    }
    if (after_star == kNoStar) return false;
    p = after_star;
    t = ++star_text;
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace calltap::filter
