#include <algorithm>
#include <nlohmann/json.hpp>

#include "export/duration_text.h"
#include "export/report.h"

namespace calltap::export_ {
namespace {

using Json = nlohmann::ordered_json;

/// Of a function that was not recorded all the time.
std::string missed_text(const ReportRow& row, bool is_thread) {
  if (!row.turned_off) return "";
  return is_thread ? "some" : fmt::format("~{}", row.missed);
}

bool has_turned_off(const ReportTable& table) {
  return std::any_of(table.rows.begin(), table.rows.end(),
                     [](const ReportRow& row) { return row.turned_off; });
}

/// The columns for incomplete and for missed calls are there only when there are some.
void print_table(Output& out, const ReportTable& table) {
  const bool incomplete = std::any_of(table.rows.begin(), table.rows.end(),
                                      [](const ReportRow& row) { return row.times.incomplete != 0; });
  const bool missed = has_turned_off(table);
  const auto print_row = [&](const auto& total, const auto& self, const auto& calls, std::string_view missing,
                             const auto& partial, const auto& average, const auto& min, const auto& max,
                             std::string_view name) {
    out.print("{:>12} {:>12} {:>12} ", total, self, calls);
    if (missed) out.print("{:>12} ", missing);
    if (incomplete) out.print("{:>12} ", partial);
    out.print("{:>12} {:>12} {:>12}  {}", average, min, max, name);
  };
  if (out.colour()) out.text("\033[1m");
  print_row("total", "self", "calls", "missed", "incomplete", "avg", "min", "max", "function");
  out.text(out.colour() ? "\033[0m\n" : "\n");
  for (const ReportRow& row : table.rows) {
    const FunctionTimes& t = row.times;
    const auto of_whole = [&t](std::uint64_t ns) { return t.whole() == 0 ? "-" : duration_text(ns); };
    print_row(duration_text(t.total), duration_text(t.self), t.calls, missed_text(row, table.tid != 0),
              t.incomplete, of_whole(t.average()), of_whole(t.min), of_whole(t.max), row.name);
    out.text("\n");
  }
}

Json rows_json(const std::vector<ReportRow>& rows, bool is_thread) {
  Json json = Json::array();
  for (const ReportRow& row : rows) {
    const FunctionTimes& t = row.times;
    const auto of_whole = [&t](std::uint64_t ns) { return t.whole() == 0 ? Json() : Json(ns); };
    json.push_back({{"name", row.name},
                    {"module", row.module},
                    {"address", row.link_address},
                    {"calls", t.calls},
                    {"total_ns", t.total},
                    {"self_ns", t.self},
                    {"avg_ns", of_whole(t.average())},
                    {"min_ns", of_whole(t.min)},
                    {"max_ns", of_whole(t.max)},
                    {"incomplete", t.incomplete}});
    if (!row.turned_off) continue;
    json.back()["turned_off"] = true;
    json.back()["off_at_end"] = row.off_at_end;
    if (!is_thread) json.back()["missed_calls_estimate"] = row.missed;
  }
  return json;
}

/// RFC 4180: quoted where it must be, quotes doubled.
std::string csv_field(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

bool per_thread(const Report& report) { return report.tables.empty() || report.tables.front().tid != 0; }

}  // namespace

void print_report_text(Output& out, const Report& report) {
  bool first = true;
  for (const ReportTable& table : report.tables) {
    if (!first) out.text("\n");
    first = false;
    if (table.tid != 0) {
      out.print("thread {} {} of {} ({})\n", table.tid, table.thread_name, table.process_name, table.pid);
    }
    print_table(out, table);
  }
  if (report.hidden_rows != 0) out.print("... {} more functions\n", report.hidden_rows);
  if (std::none_of(report.tables.begin(), report.tables.end(), has_turned_off)) return;
  out.text(
      "\nmissed: calls that were not recorded, an estimate. To keep within the budget these functions were "
      "off for\n"
      "a part of the time; calls and times are of what was recorded, and the self time of their callers has "
      "theirs.\n");
}

void print_report_json(Output& out, const trace::Session& session, const Report& report) {
  Json json = {{"events", report.reading.events},
               {"discarded_events", discarded_events(session, report.reading)},
               {"damaged", report.reading.damage.any()},
               {"closed", session.closed()}};
  if (per_thread(report)) {
    Json threads = Json::array();
    for (const ReportTable& table : report.tables) {
      threads.push_back({{"pid", table.pid},
                         {"process", table.process_name},
                         {"tid", table.tid},
                         {"name", table.thread_name},
                         {"functions", rows_json(table.rows, true)}});
    }
    json["threads"] = std::move(threads);
  } else {
    json["functions"] = rows_json(report.tables.front().rows, false);
  }
  out.text(json.dump(2, ' ', false, Json::error_handler_t::replace));
  out.text("\n");
}

void print_report_csv(Output& out, const Report& report) {
  const bool threads = per_thread(report);
  const bool missed = report.has_budget && !threads;
  out.print("{}name,module,address,calls,total_ns,self_ns,avg_ns,min_ns,max_ns,incomplete{}\n",
            threads ? "pid,tid," : "", missed ? ",missed_calls_estimate" : "");
  for (const ReportTable& table : report.tables) {
    for (const ReportRow& row : table.rows) {
      const FunctionTimes& t = row.times;
      if (threads) out.print("{},{},", table.pid, table.tid);
      const auto of_whole = [&t](std::uint64_t ns) { return t.whole() == 0 ? "" : std::to_string(ns); };
      out.print("{},{},{:#x},{},{},{},{},{},{},{}", csv_field(row.name), csv_field(row.module),
                row.link_address, t.calls, t.total, t.self, of_whole(t.average()), of_whole(t.min),
                of_whole(t.max), t.incomplete);
      if (missed) out.print(",{}", row.missed);
      out.text("\n");
    }
  }
}

}  // namespace calltap::export_
