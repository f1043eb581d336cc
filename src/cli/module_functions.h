// The functions behind a module's numbers, from its file.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "filter/filter.h"
#include "trace/process_recording.h"

namespace calltap::cli {

/// Reads each file once for a whole recording. One thread.
class ModuleFunctionCache {
 public:
  /// `with_parameters`: what debug information says of the functions' parameters is wanted.
  explicit ModuleFunctionCache(bool with_parameters = false) : with_parameters_(with_parameters) {}

  /// Functions of the file that process `pid` calls `path` (it may live in another mount namespace, or may
  /// have been replaced since): ids count from 0. Where the file is not to be had, its functions are called
  /// "name#index".
  std::shared_ptr<const trace::ModuleFunctions> find(std::int64_t pid, const std::string& path,
                                                     const std::string& build_id, std::uint32_t site_count);

 private:
  bool with_parameters_;
  std::map<std::pair<std::string, std::string>, std::shared_ptr<const trace::ModuleFunctions>> known_;
};

/// What to tell the user when the runtime selected only `selected` functions of a module because it could not
/// compare demangled names; empty when that makes no difference.
///
/// The runtime has the demangler that the program had when it started, and a C program has none. One that
/// comes with a module cannot be called before the module's functions are hooked: it is not relocated then.
std::string describe_missed_names(const trace::ModuleFunctions& module, const filter::Filter& filter,
                                  std::uint32_t selected);

}  // namespace calltap::cli
