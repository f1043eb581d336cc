// Text that another program chose and a terminal would obey.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace calltap::trace {

/// The text with '?' for every byte of a control character: C0, DEL, and C1 as UTF-8 has it. `allowed` stay.
inline std::string printable(std::string text, std::string_view allowed = {}) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0;
    if (byte == 0xc2 && next >= 0x80 && next < 0xa0) {
      text[i] = text[i + 1] = '?';
    } else if ((byte < 0x20 || byte == 0x7f) && allowed.find(text[i]) == std::string_view::npos) {
      text[i] = '?';
    }
  }
  return text;
}

}  // namespace calltap::trace
