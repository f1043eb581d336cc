#include <nlohmann/json.hpp>

#include "export/info.h"

namespace calltap::export_ {
namespace {

using Json = nlohmann::ordered_json;

Json discarded_json(const trace::DiscardCounts& counts) {
  Json json = Json::object();
  for (std::size_t i = 0; i < counts.size(); ++i) {
    json[std::string(trace::name(static_cast<event::DiscardReason>(i)))] = counts[i];
  }
  return json;
}

Json damage_json(const trace::Damage& damage) {
  Json json = Json::object();
  for (std::size_t i = 0; i < trace::kDamageKinds; ++i) {
    if (damage.occurrences[i] != 0) {
      json[std::string(trace::name(static_cast<trace::DamageKind>(i)))] = damage.occurrences[i];
    }
  }
  if (damage.any()) {
    json["bytes_skipped"] = damage.bytes_skipped;
    json["bytes_missing"] = damage.bytes_missing;
  }
  return json;
}

Json end_json(const trace::ProcessEnd& end) {
  switch (end.kind) {
    case trace::EndKind::kRunning:
      return {{"kind", "unknown"}};
    case trace::EndKind::kExited:
      return {{"kind", "exited"}, {"status", end.value}};
    case trace::EndKind::kSignalled:
      return {{"kind", "signalled"}, {"signal", end.value}};
    case trace::EndKind::kExecuted:
      return {{"kind", "executed"}};
    case trace::EndKind::kToolStopped:
      return {{"kind", "tool_stopped"}};
    case trace::EndKind::kEnded:
      return {{"kind", "ended"}};
  }
  return nullptr;
}

Json threads_json(const ProcessInfo& info) {
  Json json = Json::array();
  for (const ThreadInfo& t : info.threads) {
    json.push_back({{"tid", t.stream->tid},
                    {"name", t.stream->thread_name},
                    {"stream", t.stream->path.filename().string()},
                    {"events", t.counts.events},
                    {"packets", t.counts.packets},
                    {"lost_packets", t.counts.lost_packets},
                    {"bytes", t.bytes},
                    {"first_ticks", t.counts.first_time},
                    {"last_ticks", t.counts.last_time},
                    {"discarded", discarded_json(t.stream->discarded)},
                    {"damage", damage_json(t.damage)}});
  }
  return json;
}

Json modules_json(const trace::ProcessDescription& p) {
  Json json = Json::array();
  for (const trace::ModuleDescription& m : p.modules) {
    json.push_back({{"path", m.path},
                    {"build_id", m.build_id},
                    {"load_bias", m.load_bias},
                    {"sites", m.site_count},
                    {"patched", m.patched_count},
                    {"unpatchable", m.unpatchable_count}});
  }
  return json;
}

Json budget_json(const trace::ProcessTrace& process) {
  const trace::BudgetDescription& budget = *process.description.budget;
  Json functions = Json::array();
  for (const trace::TurnedOffFunction& f : budget.functions) {
    functions.push_back({{"name", f.function < process.names.size() ? process.names[f.function] : ""},
                         {"times_off", f.times},
                         {"off_at_end", f.at_end},
                         {"seen_calls", f.seen_calls},
                         {"missed_calls_estimate", f.missed_calls}});
  }
  return {{"share", budget.share},           {"call_cost_ns", budget.call_cost_ns},
          {"own_cpu_ns", budget.own_cpu_ns}, {"overhead_ns", budget.overhead_ns},
          {"problem", budget.problem},       {"turned_off", std::move(functions)}};
}

Json process_json(const ProcessInfo& info) {
  const trace::ProcessDescription& p = info.process->description;
  Json json = {{"pid", p.pid},
               {"parent_pid", p.parent_pid},
               {"name", p.name},
               {"directory", info.process->directory.string()},
               {"executable", p.executable},
               {"command_line", p.command_line},
               {"start_realtime_ns", p.start_realtime_ns},
               {"end", end_json(p.end)},
               {"host",
                {{"name", p.host.name},
                 {"kernel", p.host.kernel},
                 {"machine", p.host.machine},
                 {"cpu_count", p.host.cpu_count}}},
               {"clock",
                {{"frequency_hz", p.clock.frequency_hz},
                 {"ticks", p.clock.ticks},
                 {"monotonic_ns", p.clock.monotonic_ns},
                 {"realtime_ns", p.clock.realtime_ns}}},
               {"on_full", trace::name(p.on_full)},
               {"buffer_bytes", p.buffer_bytes},
               {"filters", p.filters},
               {"functions", p.functions.size()},
               {"discarded", discarded_json(p.discarded)},
               {"threads", threads_json(info)},
               {"modules", modules_json(p)}};
  if (p.budget) json["budget"] = budget_json(*info.process);
  return json;
}

}  // namespace

void print_info_json(Output& out, const trace::Session& session, const Info& info) {
  Json json = {{"directory", session.directory.string()}};
  if (session.description) {
    json["command"] = session.description->command;
    json["options"] = session.description->options;
    json["start_realtime_ns"] = session.description->start_realtime_ns;
    json["tool_version"] = session.description->tool_version;
    json["version"] = session.description->version;
  }
  json["closed"] = session.closed();
  json["events"] = info.reading.events;
  json["discarded_events"] = discarded_events(session, info.reading);
  json["damage"] = damage_json(info.reading.damage);
  Json processes = Json::array();
  for (const ProcessInfo& process : info.processes) processes.push_back(process_json(process));
  json["processes"] = std::move(processes);
  json["problems"] = session.problems;
  out.text(json.dump(2, ' ', false, Json::error_handler_t::replace));
  out.text("\n");
}

}  // namespace calltap::export_
