// The modules of the process: found when the program starts and whenever the loader says that the list has
// changed, their selected sites patched, and the tool told.
#pragma once

#include <cstdint>
#include <span>

#include "base/array.h"
#include "filter/filter.h"
#include "runtime/session.h"
#include "site/demangler.h"

namespace calltap::runtime {

/// What every module is patched with.
struct ModuleSettings {
  filter::Filter filter;
  site::Demangler::Function demangle = nullptr;  // null: patterns see mangled names only
  site::Demangler::Release release = nullptr;
};

/// Once, at start, before update_modules(). The settings must live for ever.
void set_module_settings(const ModuleSettings* settings);

/// Compares the loader's list with ours: patches what is new, forgets what is gone. `connection` is open at
/// start; null means: connect if there is something to tell. Called in the loader's notification (so never by
/// two threads at a time) and at start; not in signal handlers.
void update_modules(Connection* connection);

/// Asks the loader to call update_modules(nullptr) from now on. Without that, modules loaded later are not
/// patched.
base::Result<void> watch_loader();

}  // namespace calltap::runtime
