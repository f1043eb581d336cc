#include <algorithm>
#include <ctime>

#include "export/duration_text.h"
#include "export/info.h"
#include "trace/printable.h"
#include "trace/tick_clock.h"

namespace calltap::export_ {
namespace {

/// For a person: arguments with anything unusual in them are quoted for the shell.
std::string command_text(const std::vector<std::string>& arguments) {
  std::string out;
  for (const std::string& a : arguments) {
    if (!out.empty()) out += ' ';
    const bool plain = !a.empty() && a.find_first_of(" \t\n'\"\\$`*?[]{}()<>|&;#~!") == std::string::npos;
    if (plain) {
      out += a;
      continue;
    }
    out += '\'';
    for (const char c : a) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    out += '\'';
  }
  return trace::printable(std::move(out));
}

std::string date_text(std::uint64_t realtime_ns) {
  const auto seconds = static_cast<std::time_t>(realtime_ns / 1'000'000'000);
  std::tm parts{};
  if (::localtime_r(&seconds, &parts) == nullptr) return "unknown";
  std::array<char, 64> text{};
  const std::size_t length = std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S %z", &parts);
  return {text.data(), length};
}

std::string end_text(const trace::ProcessEnd& end) {
  switch (end.kind) {
    case trace::EndKind::kRunning:
      return "unknown: the recording tool did not see it end";
    case trace::EndKind::kExited:
      return fmt::format("exited with status {}", end.value);
    case trace::EndKind::kSignalled:
      return fmt::format("killed by signal {}", end.value);
    case trace::EndKind::kExecuted:
      return "replaced by exec";
    case trace::EndKind::kToolStopped:
      return "still running when the recording ended";
    case trace::EndKind::kEnded:
      return "with a status that only its parent knows";
  }
  return "unknown";
}

void print_discarded(Output& out, const trace::DiscardCounts& counts, const char* indent) {
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] == 0) continue;
    out.print("{}{:<12} {}\n", indent, trace::name(static_cast<event::DiscardReason>(i)), counts[i]);
  }
}

void print_damage(Output& out, const trace::Damage& damage) {
  for (std::size_t i = 0; i < trace::kDamageKinds; ++i) {
    if (damage.occurrences[i] == 0) continue;
    out.print("               damage: {} ({}x)\n", text(static_cast<trace::DamageKind>(i)),
              damage.occurrences[i]);
  }
  if (damage.bytes_skipped != 0)
    out.print("               damage: {} skipped\n", size_text(damage.bytes_skipped));
  if (damage.bytes_missing != 0)
    out.print("               damage: {} missing\n", size_text(damage.bytes_missing));
}

void print_threads(Output& out, const ProcessInfo& info) {
  const trace::TickClock clock(info.process->description.clock);
  out.print("  threads      {}\n", info.threads.size());
  for (const ThreadInfo& t : info.threads) {
    out.print("    {:>8}   {:<16} {:>14} events {:>12} {:>12}\n", t.stream->tid, t.stream->thread_name,
              t.counts.events, size_text(t.bytes),
              duration_text(clock.duration_ns(t.counts.last_time - t.counts.first_time)));
    if (t.counts.lost_packets != 0) out.print("               {} packets lost\n", t.counts.lost_packets);
    print_discarded(out, t.stream->discarded, "               discarded: ");
    print_damage(out, t.damage);
  }
}

void print_modules(Output& out, const trace::ProcessDescription& p) {
  out.print("  modules      {}\n", p.modules.size());
  for (const trace::ModuleDescription& m : p.modules) {
    out.print("    {}\n      build-id {}, loaded at {:#x}", trace::printable(m.path),
              m.build_id.empty() ? "none" : m.build_id, m.load_bias);
    if (m.site_count != 0) out.print(", {} of {} sites traced", m.patched_count, m.site_count);
    if (m.unpatchable_count != 0) out.print(", {} not patchable", m.unpatchable_count);
    out.text("\n");
  }
}

void print_budget(Output& out, const trace::ProcessTrace& process) {
  constexpr std::size_t kMostShown = 20;
  const trace::BudgetDescription& budget = *process.description.budget;
  const double own = static_cast<double>(budget.own_cpu_ns);
  out.print("  budget       {:g}%: recording cost about {:.1f}% of {} of CPU time, {:.1f} ns a call\n",
            budget.share * 100, own == 0 ? 0 : 100 * static_cast<double>(budget.overhead_ns) / own,
            duration_text(budget.own_cpu_ns), budget.call_cost_ns);
  if (!budget.problem.empty()) out.print("               not kept: {}\n", budget.problem);
  std::vector<trace::TurnedOffFunction> functions = budget.functions;
  std::stable_sort(functions.begin(), functions.end(),
                   [](const auto& a, const auto& b) { return a.missed_calls > b.missed_calls; });
  out.print("  turned off   {} functions\n", functions.size());
  for (std::size_t i = 0; i < functions.size() && i < kMostShown; ++i) {
    const trace::TurnedOffFunction& f = functions[i];
    const bool known = f.function < process.names.size();
    out.print("    {:>12} calls seen, about {:>12} missed, off {:>3}x{}  {}\n", f.seen_calls, f.missed_calls,
              f.times, f.at_end ? " and at the end" : "               ",
              known ? std::string_view(process.names[f.function]) : std::string_view("unknown"));
  }
  if (functions.size() > kMostShown) out.print("    ... {} more\n", functions.size() - kMostShown);
}

void print_process(Output& out, const ProcessInfo& info) {
  const trace::ProcessDescription& p = info.process->description;
  out.print("\nprocess {} ({})\n", p.pid, p.name);
  out.print("  command      {}\n  executable   {}\n  parent       {}\n", command_text(p.command_line),
            trace::printable(p.executable), p.parent_pid);
  out.print("  started      {}\n  ended        {}\n", date_text(p.start_realtime_ns), end_text(p.end));
  out.print("  host         {}, Linux {}, {}, {} processors\n", p.host.name, p.host.kernel, p.host.machine,
            p.host.cpu_count);
  out.print("  clock        {}.{:03} MHz\n", p.clock.frequency_hz / 1'000'000,
            p.clock.frequency_hz / 1'000 % 1'000);
  out.print("  buffers      {}, when full: {}\n", size_text(p.buffer_bytes), trace::name(p.on_full));
  if (!p.filters.empty()) out.print("  filters      {}\n", command_text(p.filters));
  out.print("  functions    {}\n", p.functions.size());
  print_discarded(out, p.discarded, "  discarded    ");
  if (p.budget) print_budget(out, *info.process);
  print_threads(out, info);
  print_modules(out, p);
}

}  // namespace

void print_info_text(Output& out, const trace::Session& session, const Info& info) {
  out.print("recording      {}\n", session.directory.string());
  if (session.description) {
    const trace::SessionDescription& d = *session.description;
    out.print("command        {}\n", command_text(d.command));
    if (!d.options.empty()) out.print("options        {}\n", command_text(d.options));
    out.print("started        {}\n", date_text(d.start_realtime_ns));
    out.print("made by        calltap {}, trace format {}\n", d.tool_version, d.version);
  }
  std::uint64_t bytes = 0;
  for (const ProcessInfo& p : info.processes) {
    for (const ThreadInfo& t : p.threads) bytes += t.bytes;
  }
  const Reading& reading = info.reading;
  out.print("events         {} in {} packets, {}\n", reading.events, reading.packets, size_text(bytes));
  out.print("closed         {}\n",
            session.closed() ? "yes" : "no: what came after the last events is missing and not counted");
  out.print("discarded      {}\n", discarded_events(session, reading));
  out.print("damage         {}\n", reading.damage.any() ? "found, see the threads" : "none");
  for (const ProcessInfo& process : info.processes) print_process(out, process);
}

}  // namespace calltap::export_
