#include "export/duration_text.h"

#include <fmt/format.h>

#include <array>

#include "export/append_text.h"

namespace calltap::export_ {

void append_duration_text(fmt::memory_buffer& to, std::uint64_t ns) {
  constexpr std::uint64_t kThousand = 1000;
  std::uint64_t thousandths = ns;
  const char* unit = " us";
  if (ns >= kThousand * kThousand) {
    thousandths /= kThousand;
    unit = " ms";
    if (thousandths >= kThousand * kThousand) {
      thousandths /= kThousand;
      unit = "  s";
    }
  }
  append_number(to, thousandths / kThousand);
  to.push_back('.');
  append_digits(to, thousandths, 3);
  append(to, unit);
}

std::string duration_text(std::uint64_t ns) {
  fmt::memory_buffer text;
  append_duration_text(text, ns);
  return fmt::to_string(text);
}

char duration_mark(std::uint64_t ns) {
  struct Mark {
    std::uint64_t over_ns;
    char mark;
  };
  constexpr std::array<Mark, 6> kMarks = {{{1'000'000'000, '$'},
                                           {100'000'000, '@'},
                                           {10'000'000, '*'},
                                           {1'000'000, '#'},
                                           {100'000, '!'},
                                           {10'000, '+'}}};
  for (const Mark& m : kMarks) {
    if (ns > m.over_ns) return m.mark;
  }
  return ' ';
}

std::string size_text(std::uint64_t bytes) {
  constexpr std::array<const char*, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  if (bytes < 1024) return fmt::format("{} B", bytes);
  std::size_t unit = 0;
  auto value = static_cast<double>(bytes);
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

}  // namespace calltap::export_
