// What was read and what was missing while a report was made.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "trace/session.h"

namespace calltap::export_ {

struct Reading {
  std::uint64_t streams = 0;
  std::uint64_t packets = 0;
  std::uint64_t events = 0;
  std::uint64_t lost_packets = 0;
  std::uint64_t orphaned_exits = 0;  // exits whose entry is not in the trace
  std::uint64_t stream_discarded = 0;
  trace::Damage damage;
  std::vector<std::string> damaged_streams;  // paths

  void add(const trace::StreamFile& stream, const trace::StreamReader& reader, std::uint64_t orphans);
};

/// Events that the recorder could not keep: as the descriptions say, or the packets, whichever know of more.
std::uint64_t discarded_events(const trace::Session& session, const Reading& reading);
trace::DiscardCounts discarded_by_reason(const trace::Session& session);

/// A line for each thing that a user should know about the result: problems, damage, a recording that was
/// never closed, discarded events. Empty when the recording is whole.
std::vector<std::string> notices(const trace::Session& session, const Reading& reading);

}  // namespace calltap::export_
