// Functions by name: which sites can have it, without looking at all of them.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/array.h"
#include "base/error.h"
#include "site/sites.h"
#include "site/symbols.h"

namespace calltap::site {

/// A hash table of the names that function_name() gives to sites; several may have the same. Takes 8 to 12
/// bytes a site. Any thread.
class NameIndex {
 public:
  /// Errors: kOutOfMemory.
  static base::Result<NameIndex> build(std::span<const Site> sites, const SymbolTable& symbols,
                                       std::string_view module);

  [[nodiscard]] bool empty() const { return first_.empty(); }
  /// Calls visit(index in `sites`) for every site with this name, and perhaps for a few others, in no order.
  template <class Visit>
  void for_each_candidate(std::string_view name, Visit visit) const {
    if (empty()) return;
    for (std::uint32_t at = first_[bucket_of(name)]; at != 0; at = next_[at - 1]) visit(at - 1);
  }

 private:
  [[nodiscard]] std::size_t bucket_of(std::string_view name) const;

  base::Array<std::uint32_t> first_;  // a power of two of buckets: index of a site + 1, or 0
  base::Array<std::uint32_t> next_;   // a site each: the same
};

}  // namespace calltap::site
