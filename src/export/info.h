// The `info` view: what a recording is, how it ended, and what is missing in it.
#pragma once

#include <cstdint>
#include <vector>

#include "export/output.h"
#include "export/reading.h"

namespace calltap::export_ {

struct ThreadInfo {
  const trace::StreamFile* stream = nullptr;
  trace::StreamCounts counts;
  trace::Damage damage;
  std::uint64_t bytes = 0;
};

struct ProcessInfo {
  const trace::ProcessTrace* process = nullptr;
  std::vector<ThreadInfo> threads;
};

struct Info {
  std::vector<ProcessInfo> processes;
  Reading reading;
};

/// Reads every event, since damage shows only then. `session` must outlive the result.
Info make_info(const trace::Session& session);

void print_info_text(Output& out, const trace::Session& session, const Info& info);
void print_info_json(Output& out, const trace::Session& session, const Info& info);

}  // namespace calltap::export_
