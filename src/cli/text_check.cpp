#include "cli/text_check.h"

#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cxxabi.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "cli/descriptor.h"
#include "site/demangler.h"
#include "site/sites.h"
#include "site/symbols.h"
#include "trace/printable.h"

namespace calltap::cli {
namespace {

constexpr std::size_t kGap = 16;  // equal bytes that end a difference

/// False if the memory cannot be read there: the module has just gone.
bool read_memory(const Descriptor& memory, std::uint64_t address, std::vector<std::uint8_t>& bytes) {
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t n =
        ::pread(memory.get(), bytes.data() + done, bytes.size() - done, static_cast<off_t>(address + done));
    if (n <= 0) return false;
    done += static_cast<std::size_t>(n);
  }
  return true;
}

/// Appends what differs between two images of the same code at `address`.
void compare(std::span<const std::uint8_t> file, std::span<const std::uint8_t> memory, std::uint64_t address,
             const std::string& module, std::vector<TextDifference>& differences) {
  for (std::size_t at = 0; at < file.size();) {
    const auto [first, other] = std::mismatch(file.begin() + static_cast<std::ptrdiff_t>(at), file.end(),
                                              memory.begin() + static_cast<std::ptrdiff_t>(at));
    if (first == file.end()) return;
    const auto begin = static_cast<std::size_t>(first - file.begin());
    std::size_t end = begin + 1;
    for (std::size_t next = end; next < file.size() && next < end + kGap; ++next) {
      if (file[next] != memory[next]) end = next + 1;
    }
    TextDifference difference;
    difference.module = module;
    difference.address = address + begin;
    difference.in_file.assign(first, file.begin() + static_cast<std::ptrdiff_t>(end));
    difference.in_memory.assign(memory.begin() + static_cast<std::ptrdiff_t>(begin),
                                memory.begin() + static_cast<std::ptrdiff_t>(end));
    differences.push_back(std::move(difference));
    at = end;
  }
}

/// Says whose sled each difference is in.
void name_functions(const SourceModule& module, std::span<TextDifference> differences) {
  if (differences.empty()) return;
  const auto sites = site::discover(module.file);
  const auto symbols = site::SymbolTable::load(module.file, "/usr/lib/debug", module.path.c_str());
  if (!sites || !symbols) return;
  site::Demangler demangler(abi::__cxa_demangle, std::free);
  std::array<char, 512> buffer;
  for (TextDifference& difference : differences) {
    const base::LinkAddress address =
        base::to_link(base::TargetAddress(difference.address), module.load_bias);
    const auto covers = [address](const site::Site& site) {
      const std::uint64_t begin = std::min(site.recorded.value, site.entry.value);
      return address.value >= begin &&
             address.value < site.unit.value + std::max<unsigned>(site.entry_bytes, 1);
    };
    const auto site = std::find_if(sites->begin(), sites->end(), covers);
    if (site == sites->end()) continue;
    difference.function = trace::printable(
        std::string(demangler.demangle(site::function_name(*symbols, module.name, site->entry, buffer))));
  }
}

}  // namespace

TextCheck check_text(pid_t pid) {
  TextCheck check;
  ModuleSources sources = modules_of_process(pid);
  check.problems = std::move(sources.problems);
  const Descriptor memory(::open(fmt::format("/proc/{}/mem", pid).c_str(), O_RDONLY | O_CLOEXEC));
  if (memory.get() < 0) {
    throw SourceError(fmt::format("process {}: its memory cannot be read: {}", pid, std::strerror(errno)));
  }
  for (const SourceModule& module : sources.modules) {
    const std::size_t before = check.differences.size();
    for (const site::Segment& segment : module.file.segments()) {
      if (segment.type != PT_LOAD || (segment.flags & PF_X) == 0) continue;
      const auto file = module.file.at(segment.address, segment.file_size);
      const std::uint64_t address = base::to_target(segment.address, module.load_bias).value;
      std::vector<std::uint8_t> loaded(file.size());
      if (!read_memory(memory, address, loaded)) {
        check.problems.push_back(fmt::format("{}: its memory cannot be read", module.path));
        continue;
      }
      check.bytes += loaded.size();
      compare(file, loaded, address, module.name, check.differences);
    }
    ++check.modules;
    name_functions(module, std::span(check.differences).subspan(before));
  }
  return check;
}

}  // namespace calltap::cli
