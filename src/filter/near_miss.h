// "Did you mean": the names nearest to a pattern that matched nothing.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

#include "filter/filter.h"

namespace calltap::filter {

/// Fewest insertions, deletions and replacements between two names, ignoring case, at most `limit` (then
/// limit + 1). Names longer than kMaxCompared are compared for equality only. Any thread, signal-safe.
unsigned edit_distance(std::string_view a, std::string_view b, unsigned limit);
inline constexpr std::size_t kMaxCompared = 128;

/// Collects the best suggestions for one pattern, and keeps them: the texts that it is given may go.
class NearMisses {
 public:
  static constexpr std::size_t kMax = 3;
  static constexpr std::size_t kMaxName = 1024;  // longer ones are not suggested

  explicit NearMisses(const Pattern& pattern);
  NearMisses(const NearMisses&) = delete;
  NearMisses& operator=(const NearMisses&) = delete;
  /// A name counts if the pattern would match with the case ignored, in another module, as a part of the
  /// name, or with a third of its characters (but at least one) mistyped.
  void consider(const FunctionName& function);
  /// Nearest first; without parameter lists and return types, each name once. Valid until the next
  /// consider().
  [[nodiscard]] std::span<const std::string_view> best() const { return {names_.data(), count_}; }

 private:
  [[nodiscard]] unsigned score(std::string_view name, unsigned limit) const;
  void insert(std::string_view name, unsigned score);

  std::array<char, kMaxCompared> letters_{};  // the pattern without its wildcards, in lower case
  std::size_t letter_count_ = 0;
  std::array<std::array<char, kMaxName>, kMax> texts_;  // in no order: names_ has it
  std::array<std::string_view, kMax> names_{};
  std::array<unsigned, kMax> scores_{};
  std::size_t count_ = 0;
};

}  // namespace calltap::filter
