// The functions behind a module's numbers, from its file.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "trace/process_recording.h"

namespace calltap::cli {

/// Reads each file once for a whole recording. One thread.
class ModuleFunctionCache {
 public:
  /// Functions of the file that process `pid` calls `path` (it may live in another mount namespace, or may
  /// have been replaced since): ids count from 0. Where the file is not to be had, its functions are called
  /// "name#index".
  std::shared_ptr<const trace::ModuleFunctions> find(std::int64_t pid, const std::string& path,
                                                     const std::string& build_id, std::uint32_t site_count);

 private:
  std::map<std::pair<std::string, std::string>, std::shared_ptr<const trace::ModuleFunctions>> known_;
};

}  // namespace calltap::cli
