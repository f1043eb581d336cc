#include "export/duration_text.h"

#include <fmt/format.h>

#include <array>

namespace calltap::export_ {

std::string duration_text(std::uint64_t ns) {
  constexpr std::uint64_t kThousand = 1000;
  if (ns < kThousand * kThousand) return fmt::format("{}.{:03} us", ns / kThousand, ns % kThousand);
  const std::uint64_t us = ns / kThousand;
  if (us < kThousand * kThousand) return fmt::format("{}.{:03} ms", us / kThousand, us % kThousand);
  const std::uint64_t ms = us / kThousand;
  return fmt::format("{}.{:03}  s", ms / kThousand, ms % kThousand);
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
