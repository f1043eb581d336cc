#include "export/report.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <unordered_map>

#include "export/function_times.h"
#include "trace/tick_clock.h"
#include "trace/walk.h"

namespace calltap::export_ {
namespace {

using trace::FunctionDescription;
using trace::ProcessTrace;

FunctionTimes in_nanoseconds(const FunctionTimes& ticks, const trace::TickClock& clock) {
  FunctionTimes ns;
  ns.calls = ticks.calls;
  ns.incomplete = ticks.incomplete;
  ns.total = clock.duration_ns(ticks.total);
  ns.self = clock.duration_ns(ticks.self);
  ns.sum = clock.duration_ns(ticks.sum);
  if (ticks.whole() != 0) ns.min = clock.duration_ns(ticks.min);
  ns.max = clock.duration_ns(ticks.max);
  return ns;
}

std::vector<ReportRow> rows_of(const ProcessTrace& process, const FunctionTimesSink& sink,
                               const ReportOptions& options) {
  const trace::TickClock clock(process.description.clock);
  std::vector<ReportRow> rows;
  std::unordered_map<std::uint32_t, const trace::TurnedOffFunction*> turned_off;
  if (process.description.budget) {
    for (const trace::TurnedOffFunction& off : process.description.budget->functions)
      turned_off.emplace(off.function, &off);
  }
  for (const FunctionDescription& f : process.description.functions) {
    const FunctionTimes& times = sink.times()[f.id];
    const auto off = turned_off.find(f.id);
    const std::uint64_t missed =
        off == turned_off.end() || options.per_thread ? 0 : off->second->missed_calls;
    if (times.calls == 0 && missed == 0) continue;
    if (options.selects && !options.selects(process, f)) continue;
    rows.push_back({process.names[f.id], process.description.modules[f.module].path, f.link_address,
                    in_nanoseconds(times, clock), off != turned_off.end(),
                    off != turned_off.end() && off->second->at_end, missed});
  }
  return rows;
}

/// The same function of several processes is one row.
void merge(std::vector<ReportRow>& into, std::vector<ReportRow> rows) {
  if (into.empty()) {
    into = std::move(rows);
    return;
  }
  using Key = std::tuple<std::string_view, std::uint64_t, std::string_view>;
  const auto key = [](const ReportRow& row) { return Key(row.module, row.link_address, row.name); };
  std::map<Key, std::size_t> known;
  into.reserve(into.size() + rows.size());  // the keys are views of its strings
  for (std::size_t i = 0; i < into.size(); ++i) known.emplace(key(into[i]), i);
  for (ReportRow& row : rows) {
    if (const auto found = known.find(key(row)); found != known.end()) {
      ReportRow& known_row = into[found->second];
      known_row.times.add(row.times);
      known_row.turned_off = known_row.turned_off || row.turned_off;
      known_row.off_at_end = known_row.off_at_end || row.off_at_end;
      known_row.missed += row.missed;
    } else {
      into.push_back(std::move(row));
    }
  }
}

void sort_rows(std::vector<ReportRow>& rows, ReportSort by) {
  const auto value = [by](const FunctionTimes& t) {
    switch (by) {
      case ReportSort::kTotal:
        return t.total;
      case ReportSort::kSelf:
        return t.self;
      case ReportSort::kCalls:
        return t.calls;
      case ReportSort::kAverage:
        return t.average();
      case ReportSort::kMax:
        return t.max;
      case ReportSort::kMin:
        return t.whole() == 0 ? 0 : t.min;
      case ReportSort::kName:
        break;
    }
    return std::uint64_t{0};
  };
  std::sort(rows.begin(), rows.end(), [&](const ReportRow& a, const ReportRow& b) {
    const std::uint64_t left = value(a.times);
    const std::uint64_t right = value(b.times);
    if (left != right) return left > right;
    return std::tie(a.name, a.module, a.link_address) < std::tie(b.name, b.module, b.link_address);
  });
}

ReportTable thread_table(const ProcessTrace& process, const trace::StreamFile& stream) {
  ReportTable table;
  table.pid = process.description.pid;
  table.tid = stream.tid;
  table.process_name = process.description.name;
  table.thread_name = stream.thread_name;
  return table;
}

void read_process(const ProcessTrace& process, const ReportOptions& options, Report& report) {
  report.has_budget = report.has_budget || process.description.budget;
  FunctionTimesSink sink(process.function_count);
  for (const trace::StreamFile& stream : process.streams) {
    trace::StreamReader reader = process.open(stream);
    trace::CallStack<FunctionTimesSink> calls(sink, process.function_count);
    walk(reader, calls);
    report.reading.add(stream, reader, calls.orphans());
    if (!options.per_thread) continue;
    ReportTable table = thread_table(process, stream);
    table.rows = rows_of(process, sink, options);
    if (!table.rows.empty()) report.tables.push_back(std::move(table));
    sink.clear();
  }
  if (!options.per_thread) merge(report.tables.front().rows, rows_of(process, sink, options));
}

}  // namespace

void FunctionTimes::add(const FunctionTimes& other) {
  calls += other.calls;
  incomplete += other.incomplete;
  total += other.total;
  self += other.self;
  sum += other.sum;
  min = std::min(min, other.min);
  max = std::max(max, other.max);
}

Report make_report(const trace::Session& session, const ReportOptions& options) {
  Report report;
  if (!options.per_thread) report.tables.emplace_back();
  for (const ProcessTrace& process : session.processes) read_process(process, options, report);
  for (ReportTable& table : report.tables) {
    sort_rows(table.rows, options.sort);
    if (options.limit != 0 && table.rows.size() > options.limit) {
      report.hidden_rows += table.rows.size() - options.limit;
      table.rows.resize(options.limit);
    }
  }
  return report;
}

}  // namespace calltap::export_
