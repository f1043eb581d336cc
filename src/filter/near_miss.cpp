#include "filter/near_miss.h"

#include <algorithm>

namespace calltap::filter {
namespace {

// Locale-independent, and without a libc call that a program might have interposed.
constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool same_letter(char a, char b) { return lower(a) == lower(b); }

bool contains(std::string_view text, std::string_view part) {
  return std::search(text.begin(), text.end(), part.begin(), part.end(), same_letter) != text.end();
}

/// "ns::Class::f" -> "f".
std::string_view last_component(std::string_view name) {
  const std::size_t scope = name.rfind("::");
  if (scope != std::string_view::npos) name.remove_prefix(scope + 2);
  return name;
}

}  // namespace

unsigned edit_distance(std::string_view a, std::string_view b, unsigned limit) {
  if (std::max(a.size(), b.size()) > kMaxCompared) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), same_letter) ? 0 : limit + 1;
  }
  if (std::max(a.size(), b.size()) - std::min(a.size(), b.size()) > limit) return limit + 1;
  std::array<unsigned, kMaxCompared + 1> row;
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = static_cast<unsigned>(j);
  for (std::size_t i = 0; i < a.size(); ++i) {
    unsigned diagonal = row[0];
    unsigned least = row[0] = static_cast<unsigned>(i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const unsigned replaced = diagonal + (same_letter(a[i], b[j]) ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, diagonal + 1, row[j] + 1});
      least = std::min(least, row[j + 1]);
    }
    if (least > limit) return limit + 1;
  }
  return std::min(row[b.size()], limit + 1);
}

NearMisses::NearMisses(const Pattern& pattern) {
  for (char c : qualified_name(pattern.name)) {
    const bool wildcard = c == '*' || c == '?' || c == '[' || c == ']' || c == '\\';
    if (!wildcard && letter_count_ < letters_.size()) letters_[letter_count_++] = lower(c);
  }
}

unsigned NearMisses::score(std::string_view name, unsigned limit) const {
  const std::string_view wanted(letters_.data(), letter_count_);
  unsigned best = edit_distance(wanted, name, limit);
  best = std::min(best, edit_distance(wanted, last_component(name), limit));
  best = std::min(best, edit_distance(last_component(wanted), last_component(name), limit) + 1);
  if (wanted.size() >= 3 && contains(name, wanted)) best = std::min(best, 2u);
  return best;
}

void NearMisses::consider(const FunctionName& function) {
  if (letter_count_ == 0) return;
  // Two letters that changed places count twice, and that is the most common mistake.
  const unsigned limit = letter_count_ < 4 ? 1 : std::max(2u, static_cast<unsigned>(letter_count_ / 3));
  const std::string_view name = qualified_name(function.signature);
  if (const unsigned distance = score(name, limit); distance <= limit) insert(name, distance);
}

void NearMisses::insert(std::string_view name, unsigned score) {
  if (name.size() > kMaxName) return;
  if (std::find(names_.begin(), names_.begin() + count_, name) != names_.begin() + count_) return;
  std::size_t at = count_;
  while (at > 0 && scores_[at - 1] > score) --at;
  if (at == kMax) return;
  // The text goes where the one that drops out was.
  char* text = count_ == kMax ? const_cast<char*>(names_.back().data()) : texts_[count_].data();
  count_ = std::min(count_ + 1, kMax);
  for (std::size_t i = count_ - 1; i > at; --i) {
    names_[i] = names_[i - 1];
    scores_[i] = scores_[i - 1];
  }
  names_[at] = {text, name.copy(text, name.size())};
  scores_[at] = score;
}

}  // namespace calltap::filter
