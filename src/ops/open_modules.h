// How long modules' files stay open.
#pragma once

#include "ops/modules.h"

namespace calltap::ops {

/// Modules are open as long as an operation needs them, and from one to the next in a program that has
/// clients of its own. Under the engine's lock.
class OpenModules {
 public:
  OpenModules() = default;
  ~OpenModules();
  OpenModules(const OpenModules&) = delete;
  OpenModules& operator=(const OpenModules&) = delete;
};

}  // namespace calltap::ops
