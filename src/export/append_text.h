// Text for lines that are printed millions of times: where fmt's formats take most of the time.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace calltap::export_ {

inline void append(fmt::memory_buffer& to, std::string_view text) {
  to.append(text.data(), text.data() + text.size());
}

inline void append_spaces(fmt::memory_buffer& to, std::size_t count) {
  const std::size_t from = to.size();
  to.resize(from + count);
  std::fill_n(to.data() + from, count, ' ');
}

/// Right-aligned in `width` columns, or as wide as it is.
inline void append_number(fmt::memory_buffer& to, std::uint64_t number, std::size_t width = 0) {
  const fmt::format_int digits(number);
  if (digits.size() < width) append_spaces(to, width - digits.size());
  append(to, {digits.data(), digits.size()});
}

/// The last `count` digits of a number, with leading zeros.
inline void append_digits(fmt::memory_buffer& to, std::uint64_t number, std::size_t count) {
  const std::size_t from = to.size();
  to.resize(from + count);
  for (std::size_t i = count; i-- > 0; number /= 10) to[from + i] = static_cast<char>('0' + number % 10);
}

}  // namespace calltap::export_
