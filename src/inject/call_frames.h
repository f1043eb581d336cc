// Whose code a stopped thread is in, from the unwind tables in the process' memory (.eh_frame, DWARF 5
// section 6.4 and the Linux Standard Base): no file needs to exist for it, and nothing is loaded.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "inject/modules.h"
#include "unwind/call_frame.h"

namespace calltap::inject {

struct FunctionFrame {
  Range code;
  std::uint64_t description = 0;  // address of the FDE
};

/// The frame description that covers `address`.
std::optional<FunctionFrame> frame_at(const Module& module, const TargetMemory& memory,
                                      std::uint64_t address);

struct CallChain {
  /// Where the thread is in each frame, innermost first: an address inside the function, not behind its last
  /// call.
  std::vector<std::uint64_t> addresses;
  /// True if the outermost frame was reached, as its description says.
  bool complete = false;
};

/// `registers` as they are now.
CallChain call_chain(const std::vector<Module>& modules, const TargetMemory& memory,
                     unwind::Registers registers);

}  // namespace calltap::inject
