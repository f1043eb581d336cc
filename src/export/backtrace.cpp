#include "export/backtrace.h"

#include <nlohmann/json.hpp>

#include "export/append_text.h"
#include "trace/printable.h"

namespace calltap::export_ {
namespace {

const AddressName kUnknown;

const AddressName& find(const Backtrace& backtrace, std::size_t n, AddressNames* names) {
  return names == nullptr ? kUnknown : names->find(backtrace.addresses[n], n != 0);
}

}  // namespace

void append_frame(fmt::memory_buffer& to, const Backtrace& backtrace, std::size_t n, AddressNames* names) {
  const AddressName& name = find(backtrace, n, names);
  const auto out = std::back_inserter(to);
  if (name.module.empty()) {
    fmt::format_to(out, "{:#x}", backtrace.addresses[n]);
    return;
  }
  append(to, trace::printable(name.function.empty() ? name.module : name.function));
  fmt::format_to(out, "+{:#x}", name.offset);
  if (name.function.empty()) return;
  append(to, " [");
  append(to, trace::printable(name.module));
  to.push_back(']');
}

void append_frames_json(fmt::memory_buffer& to, const Backtrace& backtrace, AddressNames* names) {
  auto frames = nlohmann::ordered_json::array();
  for (std::size_t n = 0; n < backtrace.addresses.size(); ++n) {
    const AddressName& name = find(backtrace, n, names);
    nlohmann::ordered_json frame = {{"address", backtrace.addresses[n]}};
    if (!name.function.empty()) frame["function"] = name.function;
    if (!name.module.empty()) {
      frame["module"] = name.module;
      frame["offset"] = name.offset;
    }
    frames.push_back(std::move(frame));
  }
  append(to, frames.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

}  // namespace calltap::export_
