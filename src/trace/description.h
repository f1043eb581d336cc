// What a recording knows about itself besides its events: one SessionDescription for the recording, one
// ProcessDescription for every process image in it.
//
//   DIR/.calltap/session.json             SessionDescription
//   DIR/<comm>-<pid>[-n]/                 one process image, a complete CTF 1.8 trace
//       metadata                          TSDL text, for any CTF reader
//       thread-<tid>[-n]                  one stream a thread
//       .calltap/process.json             ProcessDescription
//
// Other CTF readers descend into DIR's sub-directories and skip names that begin with a dot.
// The functions here use the heap and files; any one thread at a time for one directory. Not signal-safe.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "buffer/shared_layout.h"
#include "event/event_layout.h"
#include "trace/parameter.h"

namespace calltap::trace {

using DiscardCounts = std::array<std::uint64_t, event::kDiscardReasons>;

/// "buffer_full", "overwritten", ...: the names in process.json and in reports.
std::string_view name(event::DiscardReason reason);
/// "wait", "discard", "flight".
std::string_view name(buffer::OnFull mode);

struct SessionDescription {
  /// Read back as found; write_session() always writes event::kTraceVersion.
  std::uint32_t version = event::kTraceVersion;
  std::string tool_version;
  std::vector<std::string> command;  // the program and its arguments
  std::vector<std::string> options;  // calltap's own arguments
  std::uint64_t start_realtime_ns = 0;
  /// Written as false at the start and as true at the end. While it is false the recording is being made, or
  /// its tool was killed: then nobody has counted what came after the last packet that was written.
  bool closed = false;
};

struct HostDescription {
  std::string name;
  std::string kernel;   // uname release
  std::string machine;  // uname machine
  std::string boot_id;  // /proc/sys/kernel/random/boot_id, "" if unknown
  std::uint32_t cpu_count = 0;
};

/// Places ticks in time: `ticks` was read at the instant that the two other clocks showed these values.
struct ClockDescription {
  std::uint64_t frequency_hz = 0;  // ticks a second; 0 is refused
  std::uint64_t ticks = 0;
  std::uint64_t monotonic_ns = 0;
  std::uint64_t realtime_ns = 0;
};

enum class EndKind : std::uint8_t {
  kRunning,      // description written while the process ran, and never again
  kExited,       // value = exit code
  kSignalled,    // value = signal
  kExecuted,     // the image was replaced by exec; the next one has its own directory
  kToolStopped,  // the recording was ended before the process
  kEnded,        // ended; only its parent knows with which status
};

struct ProcessEnd {
  EndKind kind = EndKind::kRunning;
  int value = 0;
};

struct ThreadDescription {
  std::uint32_t tid = 0;
  std::uint32_t incarnation = 0;
  std::string name;
  std::string stream;  // file name within the process directory; "" if it wrote no event
  DiscardCounts discarded{};
};

struct ModuleDescription {
  std::string path;
  std::string build_id;  // lower-case hex, "" if it has none
  std::uint64_t load_bias = 0;
  std::uint32_t first_function = 0;  // 0 if it has none
  std::uint32_t site_count = 0;
  std::uint32_t patched_count = 0;
  std::uint32_t unpatchable_count = 0;
};

struct FunctionDescription {
  std::uint32_t id = 0;  // from 1; what events carry
  std::uint32_t module = 0;
  std::uint64_t link_address = 0;
  std::string name;       // demangled
  std::string symbol;     // as in the symbol table
  Parameters parameters;  // looked for only where arguments are recorded
};

/// A function that was not recorded all the time, to keep within an overhead budget.
struct TurnedOffFunction {
  std::uint32_t function = 0;
  std::uint32_t times = 0;
  bool at_end = false;             // it was off when the recording ended
  std::uint64_t seen_calls = 0;    // calls that were recorded, of the whole recording
  std::uint64_t missed_calls = 0;  // an estimate of those that were not
  /// Ticks from which on calls may not be recorded, and after which all are again (0: not before the end), in
  /// order: the first kMostTimesOff times.
  std::vector<std::pair<std::uint64_t, std::uint64_t>> off;
};
inline constexpr std::size_t kMostTimesOff = 1000;

/// What `calltap record --budget` came to.
struct BudgetDescription {
  double share = 0;  // that recording was allowed to cost, of the CPU time that the program needs by itself
  double call_cost_ns = 0;        // that was reckoned with for one recorded call
  std::uint64_t own_cpu_ns = 0;   // of the program by itself
  std::uint64_t overhead_ns = 0;  // estimated from the calls, with what changing them took
  std::string problem;            // why the budget was not kept, if it was not
  std::vector<TurnedOffFunction> functions;
};

struct ProcessDescription {
  std::uint32_t version = event::kTraceVersion;  // as in SessionDescription
  std::string tool_version;
  std::int64_t pid = 0;
  std::int64_t parent_pid = 0;
  std::string name;  // comm
  std::string executable;
  std::vector<std::string> command_line;
  std::array<std::uint8_t, 16> uuid{};  // the one in every packet
  HostDescription host;
  std::uint64_t start_realtime_ns = 0;
  ClockDescription clock;
  ProcessEnd end;
  std::vector<ThreadDescription> threads;
  std::vector<ModuleDescription> modules;
  std::vector<FunctionDescription> functions;
  /// All threads, and what belongs to none (kNoThreadSlot).
  DiscardCounts discarded{};
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;  // of all streams
  buffer::OnFull on_full = buffer::OnFull::kWait;
  std::uint64_t buffer_bytes = 0;
  std::vector<std::string> filters;  // as given: "-F", "glob", "-N", "glob", ...
  std::optional<BudgetDescription> budget;
};

/// Makes DIR/.calltap if it is missing. Each file is replaced atomically, so a reader always finds the old or
/// the new one. Returns the error of the first system call that failed (ENOSPC, EACCES, ...).
[[nodiscard]] std::error_code write_session(const std::filesystem::path& session,
                                            const SessionDescription& description);
/// Writes `metadata` and `.calltap/process.json`. May be called again whenever threads or modules were added;
/// the cost is proportional to all functions, so call it for a group of modules rather than for each.
/// Functions that events may carry must be written before a reader needs them, not before the events are.
[[nodiscard]] std::error_code write_description(const std::filesystem::path& process,
                                                const ProcessDescription& description);
/// Bytes of what write_description() has written.
std::uint64_t description_bytes(const std::filesystem::path& process);

/// Errors: TraceError (trace/trace_error.h): not a directory, foreign, other version, missing, corrupt.
SessionDescription read_session(const std::filesystem::path& session);
ProcessDescription read_description(const std::filesystem::path& process);

/// Makes and returns the directory of a new process image: `<comm>-<pid>`, with `-2`, `-3`, ... when it
/// exists. Characters of `comm` that are awkward in file names become '_'.
[[nodiscard]] std::error_code create_process_directory(const std::filesystem::path& session,
                                                       std::string_view comm, std::int64_t pid,
                                                       std::filesystem::path& created);
/// `thread-<tid>`, or `thread-<tid>-<occurrence>` from the second thread with that id on (occurrence counts
/// from 1).
std::string stream_name(std::uint32_t tid, std::uint32_t occurrence);

}  // namespace calltap::trace
