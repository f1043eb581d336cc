// The call tree of a recording: which path of calls the time was spent on, and a function's callers and
// callees.
//
// Recursion is folded: a call of a function that is already open on its path counts in the node of that open
// call, so the tree is never deeper than there are functions. A node's total counts its outermost calls only.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "trace/call_stack.h"

namespace calltap::export_ {

struct CallNode {
  std::uint32_t function = 0;  // 0: the root
  std::uint32_t parent = 0;
  std::uint32_t first_child = 0;  // index, 0 = none
  std::uint32_t next_sibling = 0;
  std::uint64_t calls = 0;
  std::uint64_t total = 0;  // ticks
  std::uint64_t self = 0;
};

/// Calls from one function (0: none that was recorded) to another. Either is a selected one.
struct CallEdge {
  std::uint32_t caller = 0;
  std::uint32_t callee = 0;
  std::uint64_t calls = 0;
  std::uint64_t total = 0;  // ticks, of calls that are no recursion of the callee
};

/// The sink that builds the tree of one process, over any number of its threads.
class CallTree {
 public:
  struct FrameData {
    std::uint32_t node = 0;  // 0: not in the tree
    std::uint32_t edge = 0;  // index + 1, 0: not counted
    bool first = false;      // no other open call counts in this node
  };
  using Frame = trace::CallStack<CallTree>::Frame;

  /// `selected` by function id: the tree holds these functions' calls and what they call. Empty: everything.
  explicit CallTree(std::vector<bool> selected);

  void entered(Frame& frame, const Frame& parent, const Frame* same);
  void left(const Frame& frame, const trace::CallSpan& span);
  void orphaned(std::uint32_t, std::uint64_t, trace::CallEnd) {}

  /// [0] is the root, the others are in order of first call; siblings are linked in the reverse order.
  [[nodiscard]] const std::vector<CallNode>& nodes() const { return nodes_; }
  /// Empty when everything is selected.
  [[nodiscard]] const std::vector<CallEdge>& edges() const { return edges_; }

 private:
  [[nodiscard]] std::uint32_t child(std::uint32_t parent, std::uint32_t function);
  [[nodiscard]] std::uint32_t edge(std::uint32_t caller, std::uint32_t callee);

  std::vector<bool> selected_;
  std::vector<CallNode> nodes_;
  std::vector<std::uint32_t> last_child_;  // by node: the child found last, and most likely next
  std::unordered_map<std::uint64_t, std::uint32_t> children_;
  std::vector<CallEdge> edges_;
  std::unordered_map<std::uint64_t, std::uint32_t> edge_index_;
};

}  // namespace calltap::export_
