// How often each function was called and where the time went.
//
// total  from entry to exit, of outermost calls only: a recursive function's time is counted once
// self   while no other recorded function ran above it
// min, max, avg  of single calls, recursive ones included; of whole calls only
// incomplete     calls that were recorded in part: the exit is missing, or events in between. They are in
//                `calls`, and in `total` and `self` with the time in which they are known to have run.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "export/output.h"
#include "export/reading.h"
#include "trace/session.h"

namespace calltap::export_ {

struct FunctionTimes {
  std::uint64_t calls = 0;
  std::uint64_t incomplete = 0;
  std::uint64_t total = 0;
  std::uint64_t self = 0;
  // Of whole calls; `min` says nothing when there are none.
  std::uint64_t sum = 0;
  std::uint64_t min = ~std::uint64_t{0};
  std::uint64_t max = 0;

  [[nodiscard]] std::uint64_t whole() const { return calls - incomplete; }
  [[nodiscard]] std::uint64_t average() const { return whole() == 0 ? 0 : sum / whole(); }
  void add(const FunctionTimes& other);
};

struct ReportRow {
  std::string name;
  std::string module;  // path
  std::uint64_t link_address = 0;
  FunctionTimes times;  // ns
  // To keep within a budget the function was turned off for a part of the time.
  bool turned_off = false;
  bool off_at_end = false;
  std::uint64_t missed = 0;  // calls that were not recorded, an estimate; not known of single threads
};

struct ReportTable {
  // Of the thread, in a table per thread.
  std::int64_t pid = 0;
  std::uint32_t tid = 0;
  std::string process_name;
  std::string thread_name;
  std::vector<ReportRow> rows;
};

enum class ReportSort { kTotal, kSelf, kCalls, kAverage, kMax, kMin, kName };

struct ReportOptions {
  ReportSort sort = ReportSort::kTotal;
  std::size_t limit = 0;  // rows a table; 0 = all
  bool per_thread = false;
  /// Which functions are shown; all when empty.
  std::function<bool(const trace::ProcessTrace&, const trace::FunctionDescription&)> selects;
};

struct Report {
  std::vector<ReportTable> tables;  // one, or one a thread
  std::size_t hidden_rows = 0;      // beyond the limit, in all tables
  bool has_budget = false;          // functions may have been turned off
  Reading reading;
};

/// Reads every event once. Memory depends on functions and threads, not on events.
Report make_report(const trace::Session& session, const ReportOptions& options);

void print_report_text(Output& out, const Report& report);
void print_report_json(Output& out, const trace::Session& session, const Report& report);
void print_report_csv(Output& out, const Report& report);

}  // namespace calltap::export_
