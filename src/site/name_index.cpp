#include "site/name_index.h"

#include <bit>

namespace calltap::site {

base::Result<NameIndex> NameIndex::build(std::span<const Site> sites, const SymbolTable& symbols,
                                         std::string_view module) {
  NameIndex index;
  if (!index.first_.resize(std::bit_ceil(sites.size())) || !index.next_.resize(sites.size()))
    return base::ErrorCode::kOutOfMemory;
  NamesInOrder names(symbols, module);
  for (std::uint32_t i = 0; i < sites.size(); ++i) {
    std::uint32_t& first = index.first_[index.bucket_of(names.name_of(sites[i].entry))];
    index.next_[i] = first;
    first = i + 1;
  }
  return index;
}

std::size_t NameIndex::bucket_of(std::string_view name) const {
  std::uint64_t value = 0xcbf29ce484222325;  // FNV-1a, folded: its low bits alone depend on low bits only
  for (const char c : name) value = (value ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return (value ^ value >> 32) & (first_.size() - 1);
}

}  // namespace calltap::site
