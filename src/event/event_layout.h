// The bytes of a recording: events and packet headers, as the target writes them and as they lie in the file.
//
// The layout is Common Trace Format 1.8, little-endian (the TSDL text in trace/metadata.cpp describes the
// same bytes to other readers). A stream is one thread; a packet is kPacketBytes of it or less.
//
//   packet   | PacketHeader (80 bytes) | event | event | ...
//
//   compact event, 8 bytes:
//            31                      5 4     0 63                            32
//           +-------------------------+-------+--------------------------------+
//           | time, low 27 bits       | id    | function                       |
//           +-------------------------+-------+--------------------------------+
//   extended event, 16 bytes, where the thread was silent for 2^27 ticks or more:
//           | real id, 27 bits        | 31    | time, low half                 |
//           | time, high half                 | function                       |
//   with words, behind either form of the kinds kArguments and kStack:
//           | layout                          | count, 1 ... kMaxWords         |
//           | word | ... `count` of them
//
// Time counts clock ticks (TSC). A compact time t after the time T (the previous event's, or timestamp_begin)
// is the smallest value >= T with these low 27 bits. Within a stream time never decreases.
//
// No event starts with eight zero bytes: a packet is zeroed before use, and the first event that would start
// with them is where it ends if its writer was killed. The words behind an event may be zero, so its first
// eight bytes are written last. `function` numbers start at 1 and mean what the trace's function table says.
#pragma once

#include <cstddef>
#include <cstdint>

namespace calltap::event {

inline constexpr std::uint32_t kCtfMagic = 0xC1FC1FC1;
/// Changes whenever a reader of the old layout would misread the new one.
inline constexpr std::uint32_t kTraceVersion = 1;

inline constexpr unsigned kIdBits = 5;
inline constexpr unsigned kTimeBits = 27;
inline constexpr std::uint64_t kTimeMask = (std::uint64_t{1} << kTimeBits) - 1;

enum class EventId : std::uint32_t {
  kNone = 0,
  kEntry = 1,
  kExit = 2,
  /// The call ended without returning: exception, longjmp, thread cancellation.
  kUnwound = 3,
  /// Of the call whose entry is the thread's next event, but for those of signal handlers; see arguments.h.
  kArguments = 4,
  /// Who called the function.
  kStack = 5,
  kExtended = 31,
};

inline constexpr std::size_t kCompactBytes = 8;
inline constexpr std::size_t kExtendedBytes = 16;

constexpr std::uint64_t compact_event(EventId id, std::uint64_t time, std::uint32_t function) {
  return std::uint64_t{function} << 32 | (time & kTimeMask) << kIdBits | static_cast<std::uint64_t>(id);
}

struct ExtendedEvent {
  std::uint64_t low;
  std::uint64_t high;
};

constexpr ExtendedEvent extended_event(EventId id, std::uint64_t time, std::uint32_t function) {
  const auto header =
      static_cast<std::uint64_t>(id) << kIdBits | static_cast<std::uint64_t>(EventId::kExtended);
  return {header | time << 32, time >> 32 | std::uint64_t{function} << 32};
}

/// Words of data behind an event. The first of them, which is not counted, has their number in the low half.
inline constexpr std::uint32_t kMaxWords = 256;

constexpr bool has_words(EventId id) { return id == EventId::kArguments || id == EventId::kStack; }
constexpr std::uint64_t words_header(std::uint32_t count, std::uint32_t layout) {
  return std::uint64_t{layout} << 32 | count;
}

/// The layout of a kStack's words, which are addresses: the function itself, and from the inside out where
/// the calls return to. (A frame that a signal interrupted goes on at its address.)
enum class StackLayout : std::uint32_t {
  kComplete = 0,  // down to where the thread began
  kCutOff = 1,    // there are more callers, which could not be found or are too many
};

/// How many of `left` words the event takes that starts with the first of them, which is not zero; 0: it
/// takes more, or no event is like this. `word(i)` is the i-th.
template <class Word>
constexpr std::size_t event_words(Word&& word, std::size_t left) {
  const std::uint64_t first = word(0);
  const bool extended = (first & 31) == static_cast<std::uint64_t>(EventId::kExtended);
  const auto id = static_cast<EventId>(extended ? static_cast<std::uint32_t>(first) >> kIdBits : first & 31);
  const std::size_t header = extended ? 2 : 1;
  if (!has_words(id)) return header <= left ? header : 0;
  if (header >= left) return 0;
  const auto count = static_cast<std::uint32_t>(word(header));
  if (count == 0 || count > kMaxWords || count >= left - header) return 0;
  return header + 1 + count;
}

/// Size of a packet in the shared buffers and, when it is full, in the file. In the file packet_size says how
/// long it is.
inline constexpr std::size_t kPacketBytes = 64 * 1024;

struct PacketHeader {
  // CTF packet header
  std::uint32_t magic;
  std::uint8_t uuid[16];
  std::uint32_t stream_class;  // always 0
  // CTF packet context
  std::uint64_t timestamp_begin;  // ticks; not after the first event
  std::uint64_t timestamp_end;    // ticks; not before the last event
  std::uint64_t content_bits;     // header and events
  std::uint64_t packet_bits;      // content and padding
  std::uint64_t sequence;         // 0, 1, 2, ... within the stream; a gap is a lost packet
  std::uint64_t discarded;  // events of this stream discarded since its start, at the end of this packet
  std::uint32_t tid;
  std::uint32_t reserved;
};
static_assert(sizeof(PacketHeader) == 80);
static_assert(offsetof(PacketHeader, timestamp_begin) == 24);
static_assert(offsetof(PacketHeader, tid) == 72);

/// Why an event was discarded. The order is part of the trace version.
enum class DiscardReason : std::uint32_t {
  kBufferFull,    // no free packet, and the mode was not to wait
  kOverwritten,   // flight mode: a newer packet took its place
  kSizeLimit,     // --max-size was reached
  kWriteError,    // the tool could not write to the trace
  kNoThreadSlot,  // more threads at once than the session can hold
  kToolGone,      // the recording tool ended before the target
  kNoFrame,       // no memory for a call frame: the call ran unhooked
  kInHandler,     // the call was made by a handler, or a chain of tail calls grew too long: it ran unhooked
  kCount
};
inline constexpr std::size_t kDiscardReasons = static_cast<std::size_t>(DiscardReason::kCount);

}  // namespace calltap::event
