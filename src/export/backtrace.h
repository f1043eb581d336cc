// Call stacks that the trigger `stacktrace` has recorded, for people.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace calltap::export_ {

struct Backtrace {
  std::vector<std::uint64_t> addresses;  // the function, and where calls return to; never empty
  bool is_complete = true;               // else there are more callers
};

using BacktracePtr = std::shared_ptr<const Backtrace>;

/// Of code: what is not known is empty.
struct AddressName {
  std::string function;
  std::string module;
  std::uint64_t offset = 0;  // in the function; without one, in the module
};

/// What the addresses of one process are called.
class AddressNames {
 public:
  virtual ~AddressNames() = default;
  /// The function that `address` is in; with `returns`, in which the call was that returns to it. Until the
  /// next call.
  virtual const AddressName& find(std::uint64_t address, bool returns) = 0;
};

/// "function+0x1d [module]", "module+0x1d" or "0x55d01d" for the n-th address. `names` may be null.
void append_frame(fmt::memory_buffer& to, const Backtrace& backtrace, std::size_t n, AddressNames* names);
/// A JSON array: {"address":...,"function":"...","module":"...","offset":...} for each.
void append_frames_json(fmt::memory_buffer& to, const Backtrace& backtrace, AddressNames* names);

}  // namespace calltap::export_
