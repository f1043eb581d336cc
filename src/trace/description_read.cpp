#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "trace/description.h"
#include "trace/description_names.h"
#include "trace/printable.h"
#include "trace/trace_error.h"

namespace calltap::trace {
namespace {

using Json = nlohmann::json;
using Kind = TraceError::Kind;

/// More functions than any program has; bounds the tables that are indexed by function id.
constexpr std::uint32_t kMaxFunctionId = 1U << 24;

/// The position of `text` in a list of names. Throws std::runtime_error when it is not there.
template <std::size_t N>
std::size_t index_of(const std::array<std::string_view, N>& names, const std::string& text) {
  const auto found = std::find(names.begin(), names.end(), text);
  if (found == names.end()) throw std::runtime_error(fmt::format("unknown word '{}'", text));
  return static_cast<std::size_t>(found - names.begin());
}

Json load(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) throw TraceError(Kind::kUnreadable, fmt::format("cannot read {}", file.string()));
  Json json = Json::parse(in, nullptr, false);
  if (json.is_discarded() || !json.is_object()) {
    throw TraceError(Kind::kCorruptDescription,
                     fmt::format("{} is corrupt: not a JSON object", file.string()));
  }
  return json;
}

void check_version(const Json& json, const std::filesystem::path& file) {
  if (json.value("format", "") != kFormatName) {
    throw TraceError(Kind::kForeign, fmt::format("{} does not describe a calltap trace", file.string()));
  }
  const auto version = json.at("version").get<std::uint32_t>();
  if (version == event::kTraceVersion) return;
  const bool older = version < event::kTraceVersion;
  throw TraceError(older ? Kind::kOlderVersion : Kind::kNewerVersion,
                   fmt::format("{} is in trace format {}, {} than this calltap's {}: read it with calltap {}",
                               file.string(), version, older ? "older" : "newer", event::kTraceVersion,
                               json.value("tool_version", "of that version")));
}

/// Runs `convert`, turning what nlohmann::json and we throw about the content into one TraceError.
template <class Convert>
auto converted(const std::filesystem::path& file, Convert convert) {
  const Json json = load(file);
  try {
    check_version(json, file);
    return convert(json);
  } catch (const TraceError&) {
    throw;
  } catch (const std::exception& problem) {
    throw TraceError(Kind::kCorruptDescription,
                     fmt::format("{} is corrupt: {}", file.string(), problem.what()));
  }
}

DiscardCounts discarded_from(const Json& json) {
  DiscardCounts counts{};
  for (const auto& [reason, count] : json.items()) {
    counts[index_of(kDiscardNames, reason)] = count.template get<std::uint64_t>();
  }
  return counts;
}

std::array<std::uint8_t, 16> uuid_from(const std::string& text) {
  std::array<std::uint8_t, 16> uuid{};
  if (text.size() != 2 * uuid.size() || text.find_first_not_of("0123456789abcdef") != std::string::npos) {
    throw std::runtime_error("malformed uuid");
  }
  for (std::size_t i = 0; i < uuid.size(); ++i) {
    uuid[i] = static_cast<std::uint8_t>(std::stoul(text.substr(2 * i, 2), nullptr, 16));
  }
  return uuid;
}

ThreadDescription thread_from(const Json& json) {
  ThreadDescription t;
  json.at("tid").get_to(t.tid);
  json.at("incarnation").get_to(t.incarnation);
  t.name = printable(json.at("name"));
  json.at("stream").get_to(t.stream);
  t.discarded = discarded_from(json.at("discarded"));
  // The name is joined to the directory's path: it must not lead out of it.
  if (t.stream.starts_with('.') || t.stream.find('/') != std::string::npos) {
    throw std::runtime_error(fmt::format("impossible stream name '{}'", t.stream));
  }
  return t;
}

ModuleDescription module_from(const Json& json) {
  ModuleDescription m;
  json.at("path").get_to(m.path);
  json.at("build_id").get_to(m.build_id);
  json.at("load_bias").get_to(m.load_bias);
  json.at("first_function").get_to(m.first_function);
  json.at("sites").get_to(m.site_count);
  json.at("patched").get_to(m.patched_count);
  json.at("unpatchable").get_to(m.unpatchable_count);
  return m;
}

Parameter parameter_from(const Json& json) {
  Parameter p;
  p.name = printable(json.at(0));
  p.type = printable(json.at(1));
  if (!decode_value(json.at(2).get<std::string>(), p)) throw std::runtime_error("impossible parameter");
  return p;
}

FunctionDescription function_from(const Json& json, std::size_t module_count) {
  FunctionDescription f;
  json.at(0).get_to(f.id);
  json.at(1).get_to(f.module);
  json.at(2).get_to(f.link_address);
  f.symbol = printable(json.at(3));
  f.name = json.size() > 4 ? printable(json.at(4)) : f.symbol;
  if (json.size() > 5) {
    f.parameters.emplace();
    for (const Json& p : json.at(5)) f.parameters->push_back(parameter_from(p));
  }
  if (f.id == 0 || f.id > kMaxFunctionId)
    throw std::runtime_error(fmt::format("impossible function id {}", f.id));
  if (f.module >= module_count) throw std::runtime_error(fmt::format("function {} is in no module", f.id));
  return f;
}

void read_lists(const Json& json, ProcessDescription& p) {
  for (const Json& t : json.at("threads")) p.threads.push_back(thread_from(t));
  for (const Json& m : json.at("modules")) p.modules.push_back(module_from(m));
  p.functions.reserve(json.at("functions").size());
  for (const Json& f : json.at("functions")) p.functions.push_back(function_from(f, p.modules.size()));
}

BudgetDescription budget_from(const Json& json) {
  BudgetDescription budget;
  json.at("share").get_to(budget.share);
  json.at("call_cost_ns").get_to(budget.call_cost_ns);
  json.at("own_cpu_ns").get_to(budget.own_cpu_ns);
  json.at("overhead_ns").get_to(budget.overhead_ns);
  json.at("problem").get_to(budget.problem);
  for (const Json& row : json.at("turned_off")) {
    TurnedOffFunction f;
    row.at("id").get_to(f.function);
    row.at("times_off").get_to(f.times);
    row.at("off_at_end").get_to(f.at_end);
    row.at("seen_calls").get_to(f.seen_calls);
    row.at("missed_calls_estimate").get_to(f.missed_calls);
    for (const Json& times : row.at("off"))
      f.off.emplace_back(times.at(0).get<std::uint64_t>(), times.at(1).get<std::uint64_t>());
    budget.functions.push_back(std::move(f));
  }
  return budget;
}

ProcessDescription process_from(const Json& json) {
  ProcessDescription p;
  json.at("version").get_to(p.version);
  json.at("tool_version").get_to(p.tool_version);
  json.at("pid").get_to(p.pid);
  json.at("parent_pid").get_to(p.parent_pid);
  p.name = printable(json.at("name"));
  json.at("executable").get_to(p.executable);
  json.at("command_line").get_to(p.command_line);
  p.uuid = uuid_from(json.at("uuid"));
  const Json& host = json.at("host");
  p.host.name = printable(host.at("name"));
  p.host.kernel = printable(host.at("kernel"));
  p.host.machine = printable(host.at("machine"));
  host.at("boot_id").get_to(p.host.boot_id);
  host.at("cpu_count").get_to(p.host.cpu_count);
  json.at("start_realtime_ns").get_to(p.start_realtime_ns);
  const Json& clock = json.at("clock");
  clock.at("frequency_hz").get_to(p.clock.frequency_hz);
  clock.at("ticks").get_to(p.clock.ticks);
  clock.at("monotonic_ns").get_to(p.clock.monotonic_ns);
  clock.at("realtime_ns").get_to(p.clock.realtime_ns);
  if (p.clock.frequency_hz == 0) throw std::runtime_error("the clock has no frequency");
  p.end.kind = static_cast<EndKind>(index_of(kEndNames, json.at("end").at("kind")));
  json.at("end").at("value").get_to(p.end.value);
  p.discarded = discarded_from(json.at("discarded"));
  json.at("packets").get_to(p.packets);
  json.at("bytes").get_to(p.bytes);
  p.on_full = static_cast<buffer::OnFull>(index_of(kOnFullNames, json.at("on_full")));
  json.at("buffer_bytes").get_to(p.buffer_bytes);
  json.at("filters").get_to(p.filters);
  read_lists(json, p);
  if (json.contains("budget")) p.budget = budget_from(json.at("budget"));
  return p;
}

}  // namespace

SessionDescription read_session(const std::filesystem::path& session) {
  return converted(session / kSessionFile, [](const Json& json) {
    SessionDescription d;
    json.at("version").get_to(d.version);
    json.at("tool_version").get_to(d.tool_version);
    json.at("command").get_to(d.command);
    json.at("options").get_to(d.options);
    json.at("start_realtime_ns").get_to(d.start_realtime_ns);
    json.at("closed").get_to(d.closed);
    return d;
  });
}

ProcessDescription read_description(const std::filesystem::path& process) {
  return converted(process / kProcessFile, process_from);
}

}  // namespace calltap::trace
