// calltap trace: the calls of a process as they happen.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "cli/commands.h"
#include "cli/control_client.h"
#include "cli/live_session.h"
#include "cli/option_values.h"
#include "cli/record_target.h"
#include "cli/row_filter.h"
#include "export/live_trace.h"

namespace calltap::cli {
namespace {

constexpr std::uint64_t kPatienceNs = 2'000'000'000;

struct TraceOptions {
  RecordOptions record;
  export_::LiveTraceOptions view;
  std::uint64_t max_depth = 0;
  bool graph = false;
  bool json = false;
};

int trace_process(const TraceOptions& options) {
  const auto pid = static_cast<pid_t>(options.record.pid);
  make_filter(options.record.functions, options.record.excluded);  // reports syntax errors
  check_matches(pid, options.record);
  const Attachment attachment(pid);
  ::signal(SIGPIPE, SIG_IGN);
  LiveSession session(options.record, pid);
  const trace::TickClock clock(session.clock());
  export_::LiveOutput out(STDOUT_FILENO, wants_colour(STDOUT_FILENO));
  export_::LiveTraceOptions view_options = options.view;
  view_options.max_depth = static_cast<std::uint32_t>(options.max_depth);
  if (options.graph) view_options.format = export_::LiveFormat::kGraph;
  if (options.json) view_options.format = export_::LiveFormat::kJson;
  view_options.names = &session.address_names();
  export_::LiveTrace view(out, session.names(), clock, view_options);
  session.run(view, [&out] {
    out.flush();
    return out.closed();
  });
  view.finish(kPatienceNs);
  fmt::print(stderr, "calltap: {}\n", export_::live_summary(session.counts(), view.dropped()));
  if (session.process_ended()) fail(fmt::format("process {} has ended", pid).c_str());
  if (session.process_left()) fail(describe_left(pid).c_str());
  return out.error() != 0 ? fail(fmt::format("cannot write: {}", std::strerror(out.error())).c_str()) : 0;
}

}  // namespace

void add_trace(CLI::App& app, int& status) {
  const auto options = std::make_shared<TraceOptions>();
  RecordOptions& record = options->record;
  record.buffers.on_full = buffer::OnFull::kDiscard;
  CLI::App* command = app.add_subcommand("trace", "Show the calls of a process as they happen, until ctrl-C");
  add_pid(*command, "pid", record.pid, "the process")->required();
  add_patterns(*command, "-F,--function", record.functions, "only functions that match (may be given often)");
  add_patterns(*command, "-N,--notrace", record.excluded, "no function that matches (may be given often)");
  add_arguments(*command, record.arguments);
  add_triggers(*command, record.triggers);
  add_duration(*command, "--duration", record.duration_ns, "stop after that long");
  CLI::Option* graph = command->add_flag("--graph", options->graph, "calls nested in each other, as in C");
  constexpr std::uint64_t kMostLevels = 1'000'000;
  add_number(*command, "--max-depth", options->max_depth, {1, kMostLevels}, "show at most so many levels");
  add_time(*command, "--min-time", options->view.min_time_ns, "only calls that last at least this long");
  command->add_flag("--json", options->json, "one JSON object a line")->excludes(graph);
  add_size(*command, "--buffer", record.buffers.bytes_per_thread,
           {trace::kLeastBytesPerThread, record.buffers.bytes_in_total}, "memory for events per thread")
      ->default_str(size_words(record.buffers.bytes_per_thread));
  command->callback([options, &status] {
    try {
      status = trace_process(*options);
    } catch (const CLI::ParseError&) {
      throw;
    } catch (const std::exception& error) {
      status = fail(error.what());
    }
  });
}

}  // namespace calltap::cli
