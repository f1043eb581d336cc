#include "export/call_tree.h"

#include <utility>

namespace calltap::export_ {

CallTree::CallTree(std::vector<bool> selected) : selected_(std::move(selected)), nodes_(1), last_child_(1) {}

std::uint32_t CallTree::child(std::uint32_t parent, std::uint32_t function) {
  const std::uint32_t guess = last_child_[parent];
  if (guess != 0 && nodes_[guess].function == function) return guess;
  const auto fresh = static_cast<std::uint32_t>(nodes_.size());
  const auto [at, added] = children_.try_emplace(std::uint64_t{parent} << 32 | function, fresh);
  if (added) {
    nodes_.push_back({.function = function, .parent = parent});
    last_child_.push_back(0);
    nodes_[fresh].next_sibling = nodes_[parent].first_child;
    nodes_[parent].first_child = fresh;
  }
  last_child_[parent] = at->second;
  return at->second;
}

std::uint32_t CallTree::edge(std::uint32_t caller, std::uint32_t callee) {
  const auto [at, added] = edge_index_.try_emplace(std::uint64_t{caller} << 32 | callee, edges_.size());
  if (added) edges_.push_back({.caller = caller, .callee = callee});
  return at->second;
}

void CallTree::entered(Frame& frame, const Frame& parent, const Frame* same) {
  frame.data = {};
  const bool is_root = selected_.empty() || selected_[frame.function];
  if (same != nullptr && same->data.node != 0) {
    frame.data.node = same->data.node;
    frame.data.first = same->resumed;
  } else if (is_root || parent.data.node != 0) {
    frame.data.node = child(parent.data.node, frame.function);
    frame.data.first = true;
  }
  if (frame.data.node != 0) ++nodes_[frame.data.node].calls;
  if (!selected_.empty() && (is_root || selected_[parent.function])) {
    const std::uint32_t index = edge(parent.function, frame.function);
    ++edges_[index].calls;
    frame.data.edge = index + 1;
  }
}

void CallTree::left(const Frame& frame, const trace::CallSpan& span) {
  const std::uint64_t uncounted = span.duration - span.counted;
  if (frame.data.node != 0) {
    CallNode& node = nodes_[frame.data.node];
    node.self += span.self;
    // What a resumed frame stands on has been resumed as well, so nothing else counts its time.
    if (frame.data.first || frame.resumed) node.total += uncounted;
  }
  if (frame.data.edge != 0 && span.outermost) edges_[frame.data.edge - 1].total += uncounted;
}

}  // namespace calltap::export_
