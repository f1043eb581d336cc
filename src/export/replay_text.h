// The parts of a line of the function_graph view.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string_view>

#include "export/replay_source.h"

namespace calltap::export_ {

/// What precedes the column of durations: "#     TID" and the like are the caller's.
inline constexpr std::string_view kReplayHeader = "    DURATION         FUNCTION CALLS\n";

/// Mark and duration, or as much space.
void append_duration(fmt::memory_buffer& to, const ReplayLine& line, std::uint64_t ns, bool colour);
/// Indentation, name and brace, with a newline.
void append_call(fmt::memory_buffer& to, const ReplayLine& line, std::string_view name);

/// The lines below that of a call: so many of them, from 0. With a newline.
std::size_t backtrace_lines(const Backtrace& backtrace);
void append_backtrace_line(fmt::memory_buffer& to, const Backtrace& backtrace, std::size_t n,
                           AddressNames* names);

/// "" or what is missing of the call, as it stands in the comment: ", unwound".
std::string_view remark(const ReplayLine& line);
/// Behind a name: a C++ signature has its parameters already.
std::string_view parentheses(std::string_view name);
/// Columns; the deepest recursions would be all indentation.
std::uint32_t indentation(std::uint32_t depth);

}  // namespace calltap::export_
