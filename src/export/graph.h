// The `graph` view: call trees with counts and times; with a selection, the selected functions' callers and
// callees.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "export/call_tree.h"
#include "export/output.h"
#include "export/reading.h"

namespace calltap::export_ {

struct GraphOptions {
  /// Which functions are roots; the outermost calls of all threads when empty.
  std::function<bool(const trace::ProcessTrace&, const trace::FunctionDescription&)> selects;
  std::uint32_t max_depth = 0;    // levels printed, 0 = all up to 500
  std::uint64_t min_time_ns = 0;  // nodes with a smaller total are not printed, nor what is below them
};

struct ProcessGraph {
  const trace::ProcessTrace* process = nullptr;
  CallTree tree;
};

struct Graph {
  std::vector<ProcessGraph> processes;  // those with events
  Reading reading;
};

/// `session` must outlive the graph. Memory depends on the number of different call paths.
Graph make_graph(const trace::Session& session, const GraphOptions& options);

void print_graph_text(Output& out, const Graph& graph, const GraphOptions& options);
void print_graph_json(Output& out, const Graph& graph, const GraphOptions& options);

}  // namespace calltap::export_
