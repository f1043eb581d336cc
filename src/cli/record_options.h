// What `calltap record` was asked to do.
#pragma once

#include <signal.h>

#include <string>
#include <vector>

#include "trace/shared_memory.h"

namespace calltap::cli {

struct RecordOptions {
  std::string directory = "calltap.data";
  std::vector<std::string> functions;  // -F
  std::vector<std::string> excluded;   // -N
  std::vector<std::string> triggers;   // --trigger and --while, as buffer::Welcome has them
  bool arguments = false;              // --args
  trace::BufferSettings buffers;
  std::uint64_t max_bytes = 0;
  double budget = 0;  // --budget: share of the program's own CPU time that recording may cost; 0 = any
  bool force = false;
  bool follows_children = true;
  std::uint64_t pid = 0;          // -p: of a process that runs already; 0 = a command is started
  std::uint64_t duration_ns = 0;  // of an attached process; 0 = until it ends or a signal asks to stop
  std::vector<std::string> command;
  sigset_t signals{};  // the mask that the program is to start with: the one we were started with
};

}  // namespace calltap::cli
