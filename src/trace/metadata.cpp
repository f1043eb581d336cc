#include "trace/metadata.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "trace/function_names.h"

namespace calltap::trace {
namespace {

/// A TSDL string literal. Control characters become octal escapes: a name must not end the literal or the
/// line.
std::string tsdl_literal(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\{:03o}", byte);
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string uuid_text(const std::array<std::uint8_t, 16>& uuid) {
  std::string out;
  for (std::size_t i = 0; i < uuid.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out += '-';
    out += fmt::format("{:02x}", uuid[i]);
  }
  return out;
}

bool is_uuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-'
             : std::string_view("0123456789abcdef").find(text[i]) == std::string_view::npos) {
      return false;
    }
  }
  return true;
}

constexpr std::string_view kTypes = R"(/* CTF 1.8 */

typealias integer { size = 5; align = 1; signed = false; } := uint5_t;
typealias integer { size = 8; align = 8; signed = false; } := uint8_t;
typealias integer { size = 27; align = 1; signed = false; } := uint27_t;
typealias integer { size = 32; align = 8; signed = false; } := uint32_t;
typealias integer { size = 64; align = 8; signed = false; } := uint64_t;
)";

// The event header is aligned to 8 bytes, as every event is; that also steps over the packet header's
// reserved word.
constexpr std::string_view kStreamBegin = R"(
typealias integer { size = 27; align = 1; signed = false; map = clock.monotonic.value; } := uint27_ticks_t;
typealias integer { size = 64; align = 8; signed = false; map = clock.monotonic.value; } := uint64_ticks_t;
typealias integer { size = 64; align = 1; signed = false; map = clock.monotonic.value; } := uint64_unaligned_ticks_t;

stream {
  id = 0;
  packet.context := struct {
    uint64_ticks_t timestamp_begin;
    uint64_ticks_t timestamp_end;
    uint64_t content_size;
    uint64_t packet_size;
    uint64_t packet_seq_num;
    uint64_t events_discarded;
    uint32_t tid;
  };
  event.header := struct {
    enum : uint5_t { compact = 0 ... 30, extended = 31 } id;
    variant <id> {
      struct { uint27_ticks_t timestamp; } compact;
      struct { uint27_t id; uint64_unaligned_ticks_t timestamp; } extended;
    } v;
  } align(64);
)";

/// TSDL has no place for more than that some functions were not recorded all the time.
void append_budget(std::string& out, const ProcessDescription& process) {
  constexpr std::size_t kMostNamed = 100;
  const BudgetDescription& budget = *process.budget;
  out += fmt::format("  calltap_budget = {};\n", tsdl_literal(fmt::format("{:g}%", budget.share * 100)));
  const std::vector<std::string> names = distinct_names(process);
  std::string off;
  std::size_t named = 0;
  for (const TurnedOffFunction& f : budget.functions) {
    if (named == kMostNamed || f.function >= names.size()) break;
    off += (named++ == 0 ? "" : ", ") + names[f.function];
  }
  if (named < budget.functions.size()) off += fmt::format(", and {} more", budget.functions.size() - named);
  out += fmt::format("  calltap_turned_off = {};\n", tsdl_literal(off));
}

void append_environment(std::string& out, const ProcessDescription& process) {
  auto text = [&](std::string_view key, std::string_view value) {
    out += fmt::format("  {} = {};\n", key, tsdl_literal(value));
  };
  out += "\nenv {\n";
  text("hostname", process.host.name);
  text("domain", "ust");
  text("tracer_name", "calltap");
  text("tracer_version", process.tool_version);
  text("sysname", "Linux");
  text("kernel_release", process.host.kernel);
  text("machine", process.host.machine);
  text("procname", process.name);
  text("executable", process.executable);
  if (process.budget) append_budget(out, process);
  out += fmt::format("  vpid = {};\n  calltap_trace_version = {};\n}};\n", process.pid, process.version);
}

/// The wall-clock time of tick 0, as whole seconds and remaining ticks, which is how TSDL gives a clock's
/// offset.
void append_clock(std::string& out, const ProcessDescription& process) {
  const ClockDescription& clock = process.clock;
  __extension__ typedef __int128 Wide;  // ISO C++ has no such type, both compilers do
  constexpr Wide kNsPerSecond = 1'000'000'000;
  const Wide frequency = std::max<std::uint64_t>(clock.frequency_hz, 1);
  const Wide offset_ticks = Wide{clock.realtime_ns} * frequency / kNsPerSecond - Wide{clock.ticks};
  Wide seconds = offset_ticks / frequency;
  Wide ticks = offset_ticks % frequency;
  if (ticks < 0) {
    ticks += frequency;
    --seconds;
  }
  out += "\nclock {\n  name = \"monotonic\";\n";
  if (is_uuid(process.host.boot_id)) out += fmt::format("  uuid = {};\n", tsdl_literal(process.host.boot_id));
  out += fmt::format(
      "  description = \"time stamp counter\";\n  freq = {};\n  precision = 0;\n  offset_s = {};\n  offset = "
      "{};\n"
      "  absolute = true;\n}};\n",
      static_cast<std::uint64_t>(frequency), static_cast<std::int64_t>(seconds),
      static_cast<std::uint64_t>(ticks));
}

/// `func` is the first and only thing behind the header in all three events. It is declared once, as the
/// context that the stream's events share, because readers copy the declaration for every event that has one
/// of its own, and babeltrace2 takes time quadratic in the number of names for each copy.
void append_function_context(std::string& out, const ProcessDescription& process) {
  const std::vector<std::string> names = distinct_names(process);
  out += "  event.context := struct {\n    enum : uint32_t {\n";
  bool first = true;
  for (std::size_t id = 1; id < names.size(); ++id) {
    if (names[id].empty()) continue;
    if (!first) out += ",\n";
    first = false;
    fmt::format_to(std::back_inserter(out), "      {} = {}", tsdl_literal(names[id]), id);
  }
  if (first) out += "      \"no function\" = 0";  // TSDL has no empty enumeration
  out += "\n    } func;\n  };\n};\n";
}

void append_event(std::string& out, event::EventId id, std::string_view event_name) {
  out += fmt::format("\nevent {{\n  name = \"{}\";\n  id = {};\n  stream_id = 0;\n}};\n", event_name,
                     static_cast<std::uint32_t>(id));
}

/// One with words of data behind it.
void append_event_with_words(std::string& out, event::EventId id, std::string_view event_name) {
  out += fmt::format(
      "\nevent {{\n  name = \"{}\";\n  id = {};\n  stream_id = 0;\n  fields := struct {{\n"
      "    uint32_t count;\n    uint32_t layout;\n"
      "    integer {{ size = 64; align = 8; signed = false; base = hex; }} words[count];\n  }};\n}};\n",
      event_name, static_cast<std::uint32_t>(id));
}

}  // namespace

bool is_metadata_of(const ProcessDescription& process, std::string_view head, std::string_view tail) {
  const std::string uuid = fmt::format("uuid = \"{}\"", uuid_text(process.uuid));
  return head.starts_with(kTypes) && head.find(uuid) != std::string_view::npos && tail == kMetadataTail;
}

std::string ctf_metadata(const ProcessDescription& process) {
  std::string out(kTypes);
  out += fmt::format(
      "\ntrace {{\n  major = 1;\n  minor = 8;\n  uuid = \"{}\";\n  byte_order = le;\n  packet.header := "
      "struct {{\n"
      "    uint32_t magic;\n    uint8_t uuid[16];\n    uint32_t stream_id;\n  }};\n}};\n",
      uuid_text(process.uuid));
  append_environment(out, process);
  append_clock(out, process);
  out += kStreamBegin;
  append_function_context(out, process);
  append_event(out, event::EventId::kEntry, "entry");
  append_event(out, event::EventId::kExit, "exit");
  append_event(out, event::EventId::kUnwound, "exit_unwound");
  append_event_with_words(out, event::EventId::kArguments, "arguments");
  append_event_with_words(out, event::EventId::kStack, "stack");
  return out;
}

}  // namespace calltap::trace
