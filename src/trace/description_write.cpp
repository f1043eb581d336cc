#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "trace/atomic_file.h"
#include "trace/description.h"
#include "trace/description_names.h"
#include "trace/metadata.h"

namespace calltap::trace {
namespace {

using Json = nlohmann::ordered_json;

/// Names come from files and from the kernel and may hold any byte; JSON is UTF-8.
std::string text_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
}

Json discarded_json(const DiscardCounts& counts) {
  Json json = Json::object();
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] != 0) json[std::string(kDiscardNames[i])] = counts[i];
  }
  return json;
}

Json threads_json(const ProcessDescription& process) {
  Json threads = Json::array();
  for (const ThreadDescription& t : process.threads) {
    threads.push_back({{"tid", t.tid},
                       {"incarnation", t.incarnation},
                       {"name", t.name},
                       {"stream", t.stream},
                       {"discarded", discarded_json(t.discarded)}});
  }
  return threads;
}

Json modules_json(const ProcessDescription& process) {
  Json modules = Json::array();
  for (const ModuleDescription& m : process.modules) {
    modules.push_back({{"path", m.path},
                       {"build_id", m.build_id},
                       {"load_bias", m.load_bias},
                       {"first_function", m.first_function},
                       {"sites", m.site_count},
                       {"patched", m.patched_count},
                       {"unpatchable", m.unpatchable_count}});
  }
  return modules;
}

/// [[name, type, where the value is], ...]
Json parameters_json(const Parameters& parameters) {
  Json rows = Json::array();
  for (const Parameter& p : *parameters) rows.push_back(Json::array({p.name, p.type, encode_value(p)}));
  return rows;
}

/// [id, module, link address, symbol, name if it differs, parameters]: there may be 100,000 of them.
Json functions_json(const ProcessDescription& process) {
  Json functions = Json::array();
  for (const FunctionDescription& f : process.functions) {
    Json row = Json::array({f.id, f.module, f.link_address, f.symbol});
    if (f.name != f.symbol || f.parameters) row.push_back(f.name);
    if (f.parameters) row.push_back(parameters_json(f.parameters));
    functions.push_back(std::move(row));
  }
  return functions;
}

Json budget_json(const BudgetDescription& budget) {
  Json functions = Json::array();
  for (const TurnedOffFunction& f : budget.functions) {
    Json off = Json::array();
    for (const auto& [from, until] : f.off) off.push_back({from, until});
    functions.push_back({{"id", f.function},
                         {"times_off", f.times},
                         {"off_at_end", f.at_end},
                         {"seen_calls", f.seen_calls},
                         {"missed_calls_estimate", f.missed_calls},
                         {"off", std::move(off)}});
  }
  return {{"share", budget.share},           {"call_cost_ns", budget.call_cost_ns},
          {"own_cpu_ns", budget.own_cpu_ns}, {"overhead_ns", budget.overhead_ns},
          {"problem", budget.problem},       {"turned_off", std::move(functions)}};
}

Json process_json(const ProcessDescription& p) {
  std::string uuid;
  for (const std::uint8_t byte : p.uuid) uuid += fmt::format("{:02x}", byte);
  return {{"format", kFormatName},
          {"version", p.version},
          {"tool_version", p.tool_version},
          {"pid", p.pid},
          {"parent_pid", p.parent_pid},
          {"name", p.name},
          {"executable", p.executable},
          {"command_line", p.command_line},
          {"uuid", uuid},
          {"host",
           {{"name", p.host.name},
            {"kernel", p.host.kernel},
            {"machine", p.host.machine},
            {"boot_id", p.host.boot_id},
            {"cpu_count", p.host.cpu_count}}},
          {"start_realtime_ns", p.start_realtime_ns},
          {"clock",
           {{"frequency_hz", p.clock.frequency_hz},
            {"ticks", p.clock.ticks},
            {"monotonic_ns", p.clock.monotonic_ns},
            {"realtime_ns", p.clock.realtime_ns}}},
          {"end", {{"kind", kEndNames[static_cast<std::size_t>(p.end.kind)]}, {"value", p.end.value}}},
          {"discarded", discarded_json(p.discarded)},
          {"packets", p.packets},
          {"bytes", p.bytes},
          {"on_full", name(p.on_full)},
          {"buffer_bytes", p.buffer_bytes},
          {"filters", p.filters},
          {"threads", threads_json(p)},
          {"modules", modules_json(p)},
          {"functions", functions_json(p)}};
}

std::error_code make_directory(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::create_directory(path, error);
  return error;
}

}  // namespace

std::string_view name(event::DiscardReason reason) {
  const auto i = static_cast<std::size_t>(reason);
  return i < kDiscardNames.size() ? kDiscardNames[i] : "unknown";
}

std::string_view name(buffer::OnFull mode) {
  const auto i = static_cast<std::size_t>(mode);
  return i < kOnFullNames.size() ? kOnFullNames[i] : "unknown";
}

std::error_code write_session(const std::filesystem::path& session, const SessionDescription& d) {
  if (const std::error_code error = make_directory(session / kPrivateDirectory)) return error;
  const Json json = {{"format", kFormatName},
                     {"version", event::kTraceVersion},
                     {"tool_version", d.tool_version},
                     {"command", d.command},
                     {"options", d.options},
                     {"start_realtime_ns", d.start_realtime_ns},
                     {"closed", d.closed}};
  return replace_file(session / kSessionFile, text_of(json));
}

std::error_code write_description(const std::filesystem::path& process,
                                  const ProcessDescription& description) {
  if (const std::error_code error = make_directory(process / kPrivateDirectory)) return error;
  if (const std::error_code error = replace_file(process / "metadata", ctf_metadata(description)))
    return error;
  Json json = process_json(description);
  if (description.budget) json["budget"] = budget_json(*description.budget);
  return replace_file(process / kProcessFile, text_of(json));
}

std::uint64_t description_bytes(const std::filesystem::path& process) {
  std::uint64_t bytes = 0;
  for (const std::filesystem::path& file : {process / "metadata", process / kProcessFile}) {
    std::error_code error;
    const std::uintmax_t size = std::filesystem::file_size(file, error);
    if (!error) bytes += size;
  }
  return bytes;
}

std::error_code create_process_directory(const std::filesystem::path& session, std::string_view comm,
                                         std::int64_t pid, std::filesystem::path& created) {
  std::string base;
  for (const char c : comm) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = byte > 0x20 && byte < 0x7f &&
                       std::string_view("/\\\"'`$*?[]{}<>|&;:").find(c) == std::string_view::npos;
    base += plain && !(base.empty() && (c == '.' || c == '-')) ? c : '_';
  }
  base = fmt::format("{}-{}", base.empty() ? "process" : base, pid);
  for (unsigned n = 1;; ++n) {
    created = session / (n == 1 ? base : fmt::format("{}-{}", base, n));
    std::error_code error;
    if (std::filesystem::create_directory(created, error)) return {};
    if (error) return error;
  }
}

std::string stream_name(std::uint32_t tid, std::uint32_t occurrence) {
  return occurrence <= 1 ? fmt::format("thread-{}", tid) : fmt::format("thread-{}-{}", tid, occurrence);
}

}  // namespace calltap::trace
