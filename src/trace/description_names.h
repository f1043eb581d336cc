// The words of process.json and session.json that both its writer and its reader use.
#pragma once

#include <array>
#include <string_view>

#include "event/event_layout.h"

namespace calltap::trace {

inline constexpr std::string_view kFormatName = "calltap-trace";
inline constexpr const char* kPrivateDirectory = ".calltap";
inline constexpr const char* kSessionFile = ".calltap/session.json";
inline constexpr const char* kProcessFile = ".calltap/process.json";

/// In the order of event::DiscardReason, buffer::OnFull and EndKind.
inline constexpr std::array<std::string_view, event::kDiscardReasons> kDiscardNames = {
    "buffer_full",    "overwritten", "size_limit", "write_error",
    "no_thread_slot", "tool_gone",   "no_frame",   "in_handler"};
inline constexpr std::array<std::string_view, 3> kOnFullNames = {"wait", "discard", "flight"};
inline constexpr std::array<std::string_view, 6> kEndNames = {"running",  "exited",       "signalled",
                                                              "executed", "tool_stopped", "ended"};

}  // namespace calltap::trace
