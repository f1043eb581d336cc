// Times as people read them.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>

namespace calltap::export_ {

/// Three decimals and a unit that keeps the number below 1000: "0.042 us", "13.370 ms", "2.000  s". Rounds
/// down.
std::string duration_text(std::uint64_t ns);
void append_duration_text(fmt::memory_buffer& to, std::uint64_t ns);

/// The mark that ftrace puts before long durations: '$' over 1 s, '@' over 100 ms, '*' over 10 ms, '#' over 1
/// ms,
/// '!' over 100 us, '+' over 10 us, else ' '. Strictly greater.
char duration_mark(std::uint64_t ns);

/// "1.5 KiB", "23.0 MiB".
std::string size_text(std::uint64_t bytes);

}  // namespace calltap::export_
