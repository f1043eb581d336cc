#include "export/graph.h"

#include "trace/walk.h"

namespace calltap::export_ {

Graph make_graph(const trace::Session& session, const GraphOptions& options) {
  Graph graph;
  for (const trace::ProcessTrace& process : session.processes) {
    std::vector<bool> selected;
    if (options.selects) {
      selected.resize(std::size_t{process.function_count} + 1);
      for (const trace::FunctionDescription& f : process.description.functions) {
        selected[f.id] = options.selects(process, f);
      }
    }
    CallTree tree(std::move(selected));
    for (const trace::StreamFile& stream : process.streams) {
      trace::StreamReader reader = process.open(stream);
      trace::CallStack<CallTree> calls(tree, process.function_count);
      walk(reader, calls);
      graph.reading.add(stream, reader, calls.orphans());
    }
    if (tree.nodes().size() > 1) graph.processes.push_back({&process, std::move(tree)});
  }
  return graph;
}

}  // namespace calltap::export_
