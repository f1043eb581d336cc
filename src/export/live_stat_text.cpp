#include <algorithm>
#include <nlohmann/json.hpp>

#include "export/append_text.h"
#include "export/duration_text.h"
#include "export/live_stat.h"
#include "export/live_trace.h"

namespace calltap::export_ {
namespace {

using Json = nlohmann::ordered_json;

std::string average_text(const LiveTimes& t) { return t.ended == 0 ? "-" : duration_text(t.sum / t.ended); }

constexpr std::size_t kColumn = 12;
constexpr std::size_t kHalf = 5 * kColumn;

template <class... Args>
std::string half(Args&&... columns) {
  return fmt::format("{:>11} {:>11} {:>11} {:>11} {:>11} ", std::forward<Args>(columns)...);
}

std::string half(const LiveTimes& t) {
  return half(t.calls, duration_text(t.total), duration_text(t.self), average_text(t), duration_text(t.max));
}

/// As much of the line as there is room for, in bytes: names that are longer than this are C++.
void append_line(fmt::memory_buffer& to, std::string_view line, std::size_t width, const char* end) {
  append(to, width == 0 ? line : line.substr(0, width));
  append(to, end);
}

Json times_json(const LiveTimes& t) {
  return {{"calls", t.calls},
          {"total_ns", t.total},
          {"self_ns", t.self},
          {"avg_ns", t.ended == 0 ? Json() : Json(t.sum / t.ended)},
          {"max_ns", t.max}};
}

}  // namespace

void append_stat_table(fmt::memory_buffer& to, const LiveStatInterval& interval,
                       const LiveStatOptions& options, const trace::LiveFunctions& functions,
                       std::size_t width, std::size_t most_rows, const char* end_of_line) {
  constexpr std::size_t kLeastName = 16;
  const bool both = width == 0 || width >= 2 * kHalf + 2 + kLeastName;
  const std::uint64_t ms = interval.duration / 1'000'000;
  const std::uint64_t at_ms = (interval.begin + interval.duration) / 1'000'000;
  append_line(
      to,
      fmt::format("{}{}at {}.{:03} s: {} events in {}.{:03} s, {} thread{}", options.title,
                  options.title.empty() ? "" : " ", at_ms / 1000, at_ms % 1000, grouped(interval.events),
                  ms / 1000, ms % 1000, interval.threads, interval.threads == 1 ? "" : "s"),
      width, end_of_line);
  const bool lost = interval.discarded != trace::DiscardCounts{};
  if (lost) append_line(to, fmt::format("[ {} ]", discarded_line(interval.discarded)), width, end_of_line);
  if (both)
    append_line(to, fmt::format("{:^{}}| {:^{}}", "last interval", kHalf, "since the start", kHalf), width,
                end_of_line);
  const std::string names = half("calls", "total", "self", "avg", "max");
  append_line(to, both ? fmt::format("{}| {} function", names, names) : fmt::format("{} function", names),
              width, end_of_line);
  // Nothing may be below the last line of a screen: it would scroll.
  const std::size_t taken = lost && width != 0 ? 1 : 0;
  std::size_t room = most_rows > taken ? most_rows - taken : 0;
  for (const LiveStatRow& row : interval.rows) {
    if (room-- == 0) break;
    std::string line = half(row.interval);
    if (both) line += fmt::format("| {}", half(row.start));
    line += ' ';
    line += functions.name(row.function);
    if (row.running != 0) line += fmt::format(" ({} running)", row.running);
    append_line(to, line, width, end_of_line);
  }
}

void append_stat_json(fmt::memory_buffer& to, const LiveStatInterval& interval,
                      const trace::LiveFunctions& functions, std::size_t most_rows) {
  Json discarded = Json::object();
  for (std::size_t i = 0; i < interval.discarded.size(); ++i) {
    if (interval.discarded[i] != 0)
      discarded[std::string(trace::name(static_cast<event::DiscardReason>(i)))] = interval.discarded[i];
  }
  Json rows = Json::array();
  for (std::size_t i = 0; i < std::min(most_rows, interval.rows.size()); ++i) {
    const LiveStatRow& row = interval.rows[i];
    Json json = {{"name", functions.name(row.function)}, {"running", row.running}};
    json.update(times_json(row.interval));
    json["since_start"] = times_json(row.start);
    rows.push_back(std::move(json));
  }
  const Json json = {{"time_ns", interval.begin + interval.duration},
                     {"interval_ns", interval.duration},
                     {"events", interval.events},
                     {"threads", interval.threads},
                     {"discarded", std::move(discarded)},
                     {"functions", std::move(rows)}};
  append(to, json.dump(-1, ' ', false, Json::error_handler_t::replace));
  append(to, "\n");
}

}  // namespace calltap::export_
