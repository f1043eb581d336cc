// calltap snapshot: what a process in flight mode has in its buffers now, as a recording.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstring>
#include <memory>

#include "cli/commands.h"
#include "cli/control_client.h"
#include "cli/module_functions.h"
#include "cli/option_values.h"
#include "cli/process_description.h"
#include "cli/recording_directory.h"
#include "cli/session_messages.h"
#include "trace/process_recording.h"
#include "trace/session.h"

namespace calltap::cli {
namespace {

namespace fs = std::filesystem;

/// Calls visit(ModuleDescription) for each of the messages in a row.
template <class Visit>
void for_each_module(const std::string& messages, Visit visit) {
  for (std::size_t at = 0; at + sizeof(buffer::Module) <= messages.size();) {
    buffer::Module m;
    std::memcpy(&m, messages.data() + at, sizeof m);
    if (m.header.size < sizeof m || m.header.size > messages.size() - at) return;
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(messages.data() + at);
    if (const auto place = read_module({bytes, m.header.size})) visit(*place);
    at += m.header.size;
  }
}

int take_snapshot(const RecordOptions& options) {
  const auto pid = static_cast<pid_t>(options.pid);
  const trace::TickSource clock;
  const bool with_parameters =
      ProcessStatus(ControlClient(pid).ask(buffer::Request::kStatus)).get("arguments") == "1";
  ControlClient::Answer answer = ControlClient(pid).ask_for_file(buffer::Request::kSnapshot);
  const fs::path directory = fs::absolute(options.directory);
  trace::SessionDescription session = begin_recording(options, directory);
  trace::ProcessDescription description = describe_process(pid);
  fs::path process_directory;
  if (const auto error =
          trace::create_process_directory(directory, description.name, pid, process_directory)) {
    return fail(fmt::format("cannot write to {}: {}", directory.string(), error.message()).c_str());
  }
  trace::RecordingTotals totals;
  totals.has_words = with_parameters;
  trace::ProcessRecording recording(process_directory, std::move(description), answer.file.release(), clock,
                                    totals);
  ModuleFunctionCache functions(with_parameters);
  for_each_module(answer.text, [&](const trace::ModuleDescription& place) {
    recording.add_module(functions.find(pid, place.path, place.build_id, place.site_count), place);
  });
  recording.finish({trace::EndKind::kToolStopped, 0});
  session.closed = true;
  static_cast<void>(trace::write_session(directory, session));
  if (const int error = totals.write_error.load(); error != 0) {
    return fail(fmt::format("cannot write to {}: {}", directory.string(), std::strerror(error)).c_str());
  }
  fmt::print("{:.1f} M events in {}; see calltap report{}\n", static_cast<double>(totals.events.load()) / 1e6,
             options.directory, options.directory == "calltap.data" ? "" : " " + options.directory);
  return 0;
}

}  // namespace

void add_snapshot(CLI::App& app, int& status) {
  const auto options = std::make_shared<RecordOptions>();
  options->buffers.on_full = buffer::OnFull::kFlight;
  CLI::App* command = app.add_subcommand(
      "snapshot", "Write down what a process in flight mode has in its buffers; it goes on");
  add_pid(*command, "pid", options->pid, "the process")->required();
  command->add_option("-o,--output", options->directory, "where to; an older recording there becomes DIR.old")
      ->type_name("DIR")
      ->capture_default_str();
  command->callback([options, &status] {
    try {
      status = take_snapshot(*options);
    } catch (const std::exception& error) {
      status = fail(error.what());
    }
  });
}

}  // namespace calltap::cli
