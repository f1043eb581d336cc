#include <algorithm>
#include <nlohmann/json.hpp>

#include "export/duration_text.h"
#include "export/graph.h"
#include "trace/tick_clock.h"

namespace calltap::export_ {
namespace {

using Json = nlohmann::ordered_json;

/// A path of this many different functions is as long as a page is wide; a damaged recording could have
/// millions, and printing is recursive.
constexpr std::uint32_t kDeepest = 500;

/// One process's tree with what is needed to print it.
struct TreeView {
  const CallTree& tree;
  const std::vector<std::string>& names;
  trace::TickClock clock;
  const GraphOptions& options;

  TreeView(const ProcessGraph& graph, const GraphOptions& graph_options)
      : tree(graph.tree),
        names(graph.process->names),
        clock(graph.process->description.clock),
        options(graph_options) {}

  [[nodiscard]] std::uint64_t total_ns(const CallNode& node) const { return clock.duration_ns(node.total); }

  /// Those that are to be printed, the longest first.
  [[nodiscard]] std::vector<std::uint32_t> children(std::uint32_t parent) const {
    const std::vector<CallNode>& nodes = tree.nodes();
    std::vector<std::uint32_t> found;
    for (std::uint32_t i = nodes[parent].first_child; i != 0; i = nodes[i].next_sibling) {
      if (total_ns(nodes[i]) >= options.min_time_ns) found.push_back(i);
    }
    std::sort(found.begin(), found.end(), [&](std::uint32_t a, std::uint32_t b) {
      return nodes[a].total != nodes[b].total ? nodes[a].total > nodes[b].total : a < b;
    });
    return found;
  }
  [[nodiscard]] bool descends(std::uint32_t depth) const {
    return depth < (options.max_depth == 0 ? kDeepest : std::min(options.max_depth, kDeepest));
  }
  [[nodiscard]] std::string_view name(std::uint32_t function) const {
    return function == 0 ? std::string_view("(not recorded)") : std::string_view(names[function]);
  }
};

/// `indent` is what stands left of the children of `parent`.
void print_children(Output& out, const TreeView& view, std::uint32_t parent, std::uint32_t depth,
                    const std::string& indent) {
  const std::vector<std::uint32_t> children = view.children(parent);
  for (std::size_t i = 0; i < children.size() && !out.closed(); ++i) {
    const CallNode& node = view.tree.nodes()[children[i]];
    const bool last = i + 1 == children.size();
    const char* const branch = depth == 0 ? "" : last ? "`- " : "|- ";
    out.print("{:>12} {:>12} {:>12}  {}{}{}\n", duration_text(view.total_ns(node)),
              duration_text(view.clock.duration_ns(node.self)), node.calls, indent, branch,
              view.name(node.function));
    if (!view.descends(depth + 1)) continue;
    print_children(out, view, children[i], depth + 1, depth == 0 ? indent : indent + (last ? "   " : "|  "));
  }
}

/// Edges with `function` on the one side, sorted by time.
std::vector<CallEdge> edges_of(const CallTree& tree, std::uint32_t CallEdge::*side, std::uint32_t function) {
  std::vector<CallEdge> found;
  for (const CallEdge& edge : tree.edges()) {
    if (edge.*side == function) found.push_back(edge);
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& a, const auto& b) { return a.total > b.total; });
  return found;
}

std::vector<std::uint32_t> selected_functions(const TreeView& view) {
  std::vector<std::uint32_t> functions;
  const std::vector<CallNode>& nodes = view.tree.nodes();
  for (std::uint32_t i = nodes[0].first_child; i != 0; i = nodes[i].next_sibling)
    functions.push_back(nodes[i].function);
  std::reverse(functions.begin(), functions.end());  // in order of first call
  return functions;
}

void print_edges(Output& out, const TreeView& view, const char* title, const std::vector<CallEdge>& edges,
                 std::uint32_t CallEdge::*other) {
  out.print("  {}\n", title);
  for (const CallEdge& edge : edges) {
    out.print("{:>12} {:>12}  {}\n", duration_text(view.clock.duration_ns(edge.total)), edge.calls,
              view.name(edge.*other));
  }
}

Json node_json(const TreeView& view, std::uint32_t index, std::uint32_t depth) {
  const CallNode& node = view.tree.nodes()[index];
  Json json = {{"name", view.name(node.function)},
               {"calls", node.calls},
               {"total_ns", view.total_ns(node)},
               {"self_ns", view.clock.duration_ns(node.self)}};
  Json children = Json::array();
  if (view.descends(depth)) {
    for (const std::uint32_t child : view.children(index))
      children.push_back(node_json(view, child, depth + 1));
  }
  if (!children.empty()) json["children"] = std::move(children);
  return json;
}

Json edges_json(const TreeView& view, const std::vector<CallEdge>& edges, std::uint32_t CallEdge::*other) {
  Json json = Json::array();
  for (const CallEdge& edge : edges) {
    json.push_back({{"name", view.name(edge.*other)},
                    {"calls", edge.calls},
                    {"total_ns", view.clock.duration_ns(edge.total)}});
  }
  return json;
}

}  // namespace

void print_graph_text(Output& out, const Graph& graph, const GraphOptions& options) {
  for (const ProcessGraph& process : graph.processes) {
    const TreeView view(process, options);
    if (graph.processes.size() > 1) {
      out.print("process {} ({})\n", process.process->description.name, process.process->description.pid);
    }
    out.print("{:>12} {:>12} {:>12}  function\n", "total", "self", "calls");
    print_children(out, view, 0, 0, "");
    if (!options.selects) continue;
    for (const std::uint32_t function : selected_functions(view)) {
      out.print("\n{}\n{:>12} {:>12}\n", view.name(function), "total", "calls");
      print_edges(out, view, "callers", edges_of(view.tree, &CallEdge::callee, function), &CallEdge::caller);
      print_edges(out, view, "callees", edges_of(view.tree, &CallEdge::caller, function), &CallEdge::callee);
    }
  }
}

void print_graph_json(Output& out, const Graph& graph, const GraphOptions& options) {
  Json processes = Json::array();
  for (const ProcessGraph& process : graph.processes) {
    const TreeView view(process, options);
    Json tree = Json::array();
    for (const std::uint32_t root : view.children(0)) tree.push_back(node_json(view, root, 1));
    Json json = {{"pid", process.process->description.pid},
                 {"name", process.process->description.name},
                 {"tree", std::move(tree)}};
    if (options.selects) {
      Json functions = Json::array();
      for (const std::uint32_t f : selected_functions(view)) {
        functions.push_back(
            {{"name", view.name(f)},
             {"callers", edges_json(view, edges_of(view.tree, &CallEdge::callee, f), &CallEdge::caller)},
             {"callees", edges_json(view, edges_of(view.tree, &CallEdge::caller, f), &CallEdge::callee)}});
      }
      json["functions"] = std::move(functions);
    }
    processes.push_back(std::move(json));
  }
  out.text(Json{{"processes", std::move(processes)}}.dump(2, ' ', false, Json::error_handler_t::replace));
  out.text("\n");
}

}  // namespace calltap::export_
