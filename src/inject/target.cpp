#include "inject/target.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "inject/inject.h"
#include "inject/refusal.h"

namespace calltap::inject {
namespace {

std::uint64_t address_in(const std::vector<Module>& modules, std::string_view soname, std::string_view name) {
  for (const Module& module : modules) {
    if (module.soname != soname) continue;
    if (const Function* function = module.function(name)) return function->begin;
  }
  return 0;
}

LoaderFunctions find_loader(pid_t pid, const std::vector<Module>& modules) {
  LoaderFunctions loader;
  loader.errno_location = address_in(modules, "libc.so.6", "__errno_location");
  loader.open_flags = RTLD_NOW;
  // In libc since glibc 2.34, in a library of its own before; a program without that one had only what libc
  // itself uses.
  for (const char* soname : {"libc.so.6", "libdl.so.2"}) {
    if (loader.open != 0) break;
    loader.open = address_in(modules, soname, "dlopen");
    loader.symbol = address_in(modules, soname, "dlsym");
    loader.error = address_in(modules, soname, "dlerror");
  }
  if (loader.open == 0) {
    constexpr std::uint64_t kCalledByProgram = 0x80000000;  // __RTLD_DLOPEN
    loader.open = address_in(modules, "libc.so.6", "__libc_dlopen_mode");
    loader.symbol = address_in(modules, "libc.so.6", "__libc_dlsym");
    loader.error = 0;
    loader.open_flags = RTLD_NOW | kCalledByProgram;
  }
  if (loader.errno_location == 0 || loader.open == 0 || loader.symbol == 0)
    throw InjectError(
        fmt::format("process {}: no dlopen in its C library: start it under calltap instead", pid));
  return loader;
}

Gadgets find_gadgets(pid_t pid, const std::vector<Module>& modules, const TargetMemory& memory) {
  constexpr std::array<std::uint8_t, 3> kSystemCall{0x0F, 0x05, 0xC3};
  constexpr std::array<std::uint8_t, 9> kSignalReturn{0x48, 0xC7, 0xC0, 0x0F, 0, 0, 0, 0x0F, 0x05};
  Gadgets gadgets;
  for (const Module& module : modules) {
    if (module.soname != "libc.so.6") continue;
    for (const Range& range : module.code) {
      const std::vector<std::uint8_t> code = memory.bytes(range.begin, range.end - range.begin);
      auto find = [&](const auto& pattern) -> std::uint64_t {
        auto found = std::search(code.begin(), code.end(), pattern.begin(), pattern.end());
        return found == code.end() ? 0 : range.begin + static_cast<std::uint64_t>(found - code.begin());
      };
      if (gadgets.system_call == 0) gadgets.system_call = find(kSystemCall);
      if (gadgets.signal_return == 0) gadgets.signal_return = find(kSignalReturn);
    }
  }
  if (gadgets.system_call == 0 || gadgets.signal_return == 0)
    throw InjectError(fmt::format(
        "process {}: its C library has no system call instruction to borrow: start it under calltap instead",
        pid));
  return gadgets;
}

std::vector<Module> suitable_modules(pid_t pid, const std::vector<Mapping>& mappings,
                                     const TargetMemory& memory) {
  std::vector<Module> modules = modules_of(mappings, memory);
  refuse_unsuitable(pid, modules);
  return modules;
}

pid_t suitable(pid_t pid) {
  refuse_unsuitable(pid);
  return pid;
}

}  // namespace

Target::Target(pid_t process)
    : pid(suitable(process)),
      memory(pid),
      mappings(mappings_of(pid)),
      modules(suitable_modules(pid, mappings, memory)),
      unsafe(modules, memory),
      loader(find_loader(pid, modules)),
      gadgets(find_gadgets(pid, modules, memory)) {}

bool Target::is_there() const { return memory.value<std::uint16_t>(gadgets.system_call).has_value(); }

}  // namespace calltap::inject
