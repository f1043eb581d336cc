#include "inject/call_frames.h"

#include <span>

#include "unwind/byte_cursor.h"

namespace calltap::inject {
namespace {

using unwind::ByteCursor;
using unwind::Description;
using unwind::Entry;

constexpr std::size_t kMostFrames = 4096;
constexpr std::size_t kMostBytes = 1 << 16;

/// An entry of .eh_frame without its length; empty if it cannot be read.
std::vector<std::uint8_t> entry_bytes(const TargetMemory& memory, std::uint64_t address) {
  const auto size = memory.value<std::uint32_t>(address);
  if (!size || *size == 0 || *size > kMostBytes) return {};
  std::vector<std::uint8_t> bytes = memory.bytes(address + sizeof *size, *size);
  if (bytes.size() != *size) bytes.clear();
  return bytes;
}

/// What an FDE says, and the bytes that this points into.
struct FunctionTable {
  std::vector<std::uint8_t> common;
  std::vector<std::uint8_t> own;
  Description description;
};

bool read_function(const TargetMemory& memory, std::uint64_t address, FunctionTable& function) {
  constexpr std::uint64_t kLengthBytes = 4;
  function.own = entry_bytes(memory, address);
  const Entry own = {function.own, address + kLengthBytes};
  const std::uint64_t common_at = unwind::common_entry_of(own);
  if (common_at == 0) return false;
  function.common = entry_bytes(memory, common_at);
  return unwind::read_description({function.common, common_at + kLengthBytes}, own, function.description);
}

bool read_word(void* memory, std::uint64_t address, void* to, std::size_t bytes) {
  return static_cast<const TargetMemory*>(memory)->read(address, to, bytes);
}

}  // namespace

std::optional<FunctionFrame> frame_at(const Module& module, const TargetMemory& memory,
                                      std::uint64_t address) {
  if (module.frame_header == 0) return std::nullopt;
  const std::vector<std::uint8_t> start = memory.bytes(module.frame_header, 64);
  ByteCursor header(start, module.frame_header);
  if (header.fixed<std::uint8_t>() != 1) return std::nullopt;
  const auto frame_encoding = header.fixed<std::uint8_t>();
  const auto count_encoding = header.fixed<std::uint8_t>();
  // A sorted table of (function, description), each 4 bytes relative to the header: what all linkers write.
  if (header.fixed<std::uint8_t>() != 0x3B || count_encoding == 0xFF) return std::nullopt;
  header.encoded(frame_encoding, module.frame_header);
  std::uint64_t count = header.encoded(count_encoding, module.frame_header);
  if (!header.ok()) return std::nullopt;
  const std::uint64_t table = header.address();
  struct TableEntry {
    std::int32_t function, description;
  };
  auto absolute = [&](std::int32_t offset) {
    return module.frame_header + static_cast<std::uint64_t>(std::int64_t{offset});
  };
  std::uint64_t below = 0;  // entries that begin at or before the address
  std::optional<TableEntry> last;
  while (count > 0) {
    const std::uint64_t half = count / 2;
    const auto entry = memory.value<TableEntry>(table + (below + half) * sizeof(TableEntry));
    if (!entry) return std::nullopt;
    if (absolute(entry->function) <= address) {
      below += half + 1;
      count -= half + 1;
      last = entry;
    } else {
      count = half;
    }
  }
  FunctionTable function;
  if (!last || !read_function(memory, absolute(last->description), function)) return std::nullopt;
  FunctionFrame frame;
  frame.description = absolute(last->description);
  frame.code = {function.description.begin, function.description.end};
  return frame.code.contains(address) ? std::optional(frame) : std::nullopt;
}

CallChain call_chain(const std::vector<Module>& modules, const TargetMemory& memory,
                     unwind::Registers registers) {
  constexpr std::uint32_t kMostWork = 1'000'000;
  const unwind::Memory words = {read_word, const_cast<TargetMemory*>(&memory)};
  CallChain chain;
  bool exact = true;  // a program counter, not a return address
  unwind::Space space;
  space.work = kMostWork;
  while (chain.addresses.size() < kMostFrames) {
    if (registers.counter == 0) {
      chain.complete = true;
      break;
    }
    const std::uint64_t inside = exact ? registers.counter : registers.counter - 1;
    const Module* module = module_at(modules, inside);
    const auto frame = module == nullptr ? std::nullopt : frame_at(*module, memory, inside);
    if (!frame) break;
    chain.addresses.push_back(inside);
    FunctionTable function;
    if (!read_function(memory, frame->description, function)) break;
    // A signal frame's caller was interrupted: its address is where it will go on.
    exact = function.description.is_signal_frame;
    const std::uint64_t stack = registers.value[unwind::kStackColumn];
    const unwind::Step step = unwind::step_out(function.description, inside, words, space, registers);
    chain.complete = step == unwind::Step::kOutermost;
    if (step != unwind::Step::kCaller) break;
    // Equal: a trampoline of Calltap's keeps nothing on the stack. kMostFrames ends a circle.
    if (!exact && registers.value[unwind::kStackColumn] < stack) break;
  }
  return chain;
}

}  // namespace calltap::inject
