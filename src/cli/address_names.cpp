#include "cli/address_names.h"

#include <cxxabi.h>
#include <fmt/format.h>

#include <cstdlib>

#include "cli/module_sources.h"
#include "site/demangler.h"

namespace calltap::cli {

void ModuleAddressNames::add(const trace::ModuleDescription& module) {
  modules_.push_back({module.path, module.build_id, module.load_bias, false, nullptr, nullptr});
  known_.clear();
}

const export_::AddressName& ModuleAddressNames::find(std::uint64_t address, bool returns) {
  constexpr std::size_t kMostKnown = 1 << 16;
  if (known_.size() >= kMostKnown) known_.clear();
  const auto [at, is_new] = known_.try_emplace({address, returns});
  if (is_new) at->second = name(address, returns);
  return at->second;
}

bool ModuleAddressNames::open(Module& module, const std::string& path) const {
  auto file = site::ElfFile::open(path.c_str());
  if (!file || hex(file->build_id()) != module.build_id) return false;
  module.file = std::make_unique<site::ElfFile>(std::move(*file));
  auto symbols = site::SymbolTable::load(*module.file, "/usr/lib/debug", path.c_str());
  if (symbols) module.symbols = std::make_unique<site::SymbolTable>(std::move(*symbols));
  return true;
}

void ModuleAddressNames::read(Module& module) const {
  module.is_read = true;
  if (open(module, module.path) || pid_ == 0) return;
  open(module, fmt::format("/proc/{}/root{}", pid_, module.path));
}

export_::AddressName ModuleAddressNames::name(std::uint64_t address, bool returns) {
  // A call may be the last thing that its function does.
  const std::uint64_t inside = returns ? address - 1 : address;
  // What was loaded later may lie where another module was.
  for (auto module = modules_.rbegin(); module != modules_.rend(); ++module) {
    if (!module->is_read) read(*module);
    const base::LinkAddress where = base::to_link(base::TargetAddress(inside), module->load_bias);
    if (module->file == nullptr || !module->file->is_code(where)) continue;
    export_::AddressName name;
    name.module = module->path.substr(module->path.rfind('/') + 1);
    const site::Symbol* symbol = module->symbols == nullptr ? nullptr : module->symbols->find(where);
    if (symbol != nullptr) {
      site::Demangler demangler(abi::__cxa_demangle, std::free);
      name.function = demangler.demangle(symbol->name);
    }
    name.offset = address - module->load_bias - (symbol == nullptr ? 0 : symbol->address.value);
    return name;
  }
  return {};
}

}  // namespace calltap::cli
