// The `replay` view: every call in the order of time, as ftrace's function_graph tracer shows them.
//
//   #    TID    DURATION         FUNCTION CALLS
//      4711)               |  main() {
//      4711)     0.804 us  |    f();
//      4711) +  14.237 us  |  } /* main */
// and, below a call whose stack was recorded:
//      4711)               |    /* <- main+0x1d [program] */
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "export/backtrace.h"
#include "export/output.h"
#include "export/reading.h"

namespace calltap::export_ {

struct ReplayOptions {
  std::optional<std::uint32_t> tid;  // this thread only
  std::uint32_t max_depth = 0;       // levels shown, 0 = all
  std::uint64_t min_time_ns = 0;     // only calls that last at least this long
  /// Only these functions and what they call; all when empty.
  std::function<bool(const trace::ProcessTrace&, const trace::FunctionDescription&)> selects;
  /// Of a process, for call stacks; addresses have no names when empty. What it returns lives on.
  std::function<AddressNames*(const trace::ProcessTrace&)> names;
};

/// Prints until the end of the recording or until the output is closed. Memory depends on the threads that
/// run at a time and on the depth of their stacks, not on the number of events.
Reading replay(Output& out, const trace::Session& session, const ReplayOptions& options);

}  // namespace calltap::export_
