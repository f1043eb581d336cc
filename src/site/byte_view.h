// Checked reads from a byte span: every offset in a file is untrusted.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

namespace calltap::site {

/// [offset, offset + size), or an empty span where that does not lie within `bytes`.
inline std::span<const std::uint8_t> slice(std::span<const std::uint8_t> bytes, std::uint64_t offset,
                                           std::uint64_t size) {
  if (offset > bytes.size() || size > bytes.size() - offset) return {};
  return bytes.subspan(offset, size);
}

/// False, and `value` unchanged, where the value does not lie within `bytes`. No alignment needed.
template <class T>
[[nodiscard]] bool read_at(std::span<const std::uint8_t> bytes, std::uint64_t offset, T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  if (offset > bytes.size() || sizeof(T) > bytes.size() - offset) return false;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return true;
}

/// The zero-terminated text at `offset`; empty where there is none or its end is missing.
inline std::string_view text_at(std::span<const std::uint8_t> bytes, std::uint64_t offset) {
  if (offset >= bytes.size()) return {};
  const auto* begin = reinterpret_cast<const char*>(bytes.data()) + offset;
  const void* end = std::memchr(begin, 0, bytes.size() - offset);
  if (end == nullptr) return {};
  return {begin, static_cast<std::size_t>(static_cast<const char*>(end) - begin)};
}

}  // namespace calltap::site
