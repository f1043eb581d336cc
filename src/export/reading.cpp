#include "export/reading.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "export/duration_text.h"

namespace calltap::export_ {
namespace {

std::string damage_text(const trace::Damage& damage) {
  std::string out;
  for (std::size_t i = 0; i < trace::kDamageKinds; ++i) {
    if (damage.occurrences[i] == 0) continue;
    out += fmt::format("{}{} ({}x)", out.empty() ? "" : ", ", text(static_cast<trace::DamageKind>(i)),
                       damage.occurrences[i]);
  }
  if (damage.bytes_skipped != 0) out += fmt::format("; {} skipped", size_text(damage.bytes_skipped));
  if (damage.bytes_missing != 0) out += fmt::format("; {} missing", size_text(damage.bytes_missing));
  return out;
}

std::string discarded_text(const trace::DiscardCounts& counts) {
  std::string out;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] == 0) continue;
    out += fmt::format("{}{} {}", out.empty() ? "" : ", ", trace::name(static_cast<event::DiscardReason>(i)),
                       counts[i]);
  }
  return out.empty() ? out : " (" + out + ")";
}

}  // namespace

void Reading::add(const trace::StreamFile& stream, const trace::StreamReader& reader, std::uint64_t orphans) {
  const trace::StreamCounts& counts = reader.counts();
  ++streams;
  packets += counts.packets;
  events += counts.events;
  lost_packets += counts.lost_packets;
  orphaned_exits += orphans;
  stream_discarded += counts.discarded_events;
  const trace::Damage found = reader.damage();
  damage.add(found);
  if (found.any()) damaged_streams.push_back(stream.path.string());
}

trace::DiscardCounts discarded_by_reason(const trace::Session& session) {
  trace::DiscardCounts all{};
  for (const trace::ProcessTrace& process : session.processes) {
    for (std::size_t i = 0; i < all.size(); ++i) all[i] += process.description.discarded[i];
  }
  return all;
}

std::uint64_t discarded_events(const trace::Session& session, const Reading& reading) {
  const trace::DiscardCounts counts = discarded_by_reason(session);
  return std::max(std::accumulate(counts.begin(), counts.end(), std::uint64_t{0}), reading.stream_discarded);
}

std::vector<std::string> notices(const trace::Session& session, const Reading& reading) {
  std::vector<std::string> lines = session.problems;
  if (reading.damage.any()) {
    const std::size_t others = reading.damaged_streams.size() - 1;
    lines.push_back(fmt::format("the recording is damaged, what could be read is shown: {} in {}{}",
                                damage_text(reading.damage), reading.damaged_streams.front(),
                                others == 0 ? "" : fmt::format(" and {} more", others)));
  }
  if (!session.closed()) {
    lines.emplace_back(
        "the recording was never closed: calltap is still at it, or was killed. What came after the last "
        "events "
        "in it is missing, and is not counted");
  }
  if (const std::uint64_t discarded = discarded_events(session, reading); discarded != 0) {
    lines.push_back(fmt::format("{} events were discarded while recording{}: times and counts lack them",
                                discarded, discarded_text(discarded_by_reason(session))));
  }
  return lines;
}

}  // namespace calltap::export_
