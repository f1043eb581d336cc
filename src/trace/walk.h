// Feeds a whole stream through a call stack.
#pragma once

#include "trace/call_stack.h"
#include "trace/stream_reader.h"

namespace calltap::trace {

/// To be called when a packet was begun, before its events.
template <class Sink>
void note_continuity(const StreamReader& reader, CallStack<Sink>& calls) {
  switch (reader.continuity()) {
    case Continuity::kUnbroken:
      break;
    case Continuity::kGap:
      calls.gap(reader.counts().last_time, reader.packet_begin());
      break;
    case Continuity::kTimeReset:
      calls.close_all(reader.counts().last_time);
      break;
  }
}

/// An event of another kind than a call's two ends is passed over.
template <class Sink>
[[gnu::always_inline]] inline void apply(const Event& event, CallStack<Sink>& calls) {
  if (event.id == event::EventId::kEntry) {
    calls.entry(event.function, event.time);
  } else if (event.id <= event::EventId::kUnwound) [[likely]] {
    calls.exit(event.function, event.time,
               event.id == event::EventId::kExit ? CallEnd::kReturned : CallEnd::kUnwound);
  }
}

/// Reads to the end of the stream and closes what is open there.
template <class Sink>
void walk(StreamReader& reader, CallStack<Sink>& calls) {
  while (reader.next_packet()) {
    note_continuity(reader, calls);
    reader.each_event([&](const Event& event) { apply(event, calls); });
  }
  calls.close_all(reader.counts().last_time);
}

}  // namespace calltap::trace
