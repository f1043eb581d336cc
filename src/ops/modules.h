// The modules of the process, their sites and names: found when the engine starts and whenever the loader
// says that its list has changed.
//
// Everything here is called under the engine's lock.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/array.h"
#include "base/error.h"
#include "patch/patcher.h"
#include "site/demangler.h"
#include "site/name_index.h"
#include "site/sites.h"
#include "site/symbols.h"

struct link_map;

namespace calltap::ops {

/// A loaded module. Lives in a mapping of its own until it is unloaded.
struct Module {
  static constexpr std::size_t kMaxPath = 4096;

  Module* next = nullptr;
  const link_map* map = nullptr;
  std::uint64_t load_bias = 0;
  std::uint64_t dynamic = 0;      // with the bias: tells a module from another at the same address
  std::uint64_t unwinder_at = 0;  // set if it was registered as an unwinder
  bool seen = false;
  bool is_usable = false;   // its file can be read and is the one that was loaded
  std::uint64_t begin = 0;  // of what is loaded of it
  std::uint64_t end = 0;
  std::uint32_t site_count = 0;
  std::uint32_t first_function = 0;  // number of its first site in the process
  std::uint64_t first_entry = 0;     // lowest address of a function with a site
  std::uint64_t last_entry = 0;
  patch::ModulePatch patch;

  // From the file, while it is open.
  bool is_open = false;
  site::ElfFile file;
  base::Array<site::Site> sites;
  site::SymbolTable symbols;
  site::NameIndex names;  // empty until name_index() is called

  char path[kMaxPath] = {};

  [[nodiscard]] std::string_view name() const;
  [[nodiscard]] std::uint64_t entry_of(const site::Site& site) const {
    return base::to_target(site.entry, load_bias).value;
  }
  /// The sites of the function at this address: none, or one and perhaps others that cannot be used.
  [[nodiscard]] std::span<const site::Site> sites_at(std::uint64_t entry) const;
  /// "symbol" or "module+0xoffset", in `buffer` where it has to be made. The module must be open.
  [[nodiscard]] std::string_view function_name(std::uint64_t entry, std::span<char> buffer) const;
};

/// Reads sites and symbols. Errors: kFileOpen and the like, kBuildIdMismatch if the file is not the loaded
/// one.
base::Result<void> open_module(Module& module);
/// Gives back the memory that open_module() and name_index() took.
void close_module(Module& module);
/// The open module's functions by name; made when it is first asked for. Errors: kOutOfMemory.
base::Result<const site::NameIndex*> name_index(Module& module);

/// Between operations, forget sites and names of modules and read them again for the next: for a process
/// whose only client is the recorder.
void keep_modules_closed(bool closed);

Module* first_module();
/// The module that holds the address, or null. It may have no sites, and need not be open.
Module* find_module(std::uint64_t address);

/// What the engine does with a module that has appeared, whose file can be read; it is open then if it has
/// sites.
using ModuleAdded = void (*)(Module& module);
/// A module is about to be forgotten: the loader has unmapped it.
using ModuleRemoved = void (*)(Module& module);

/// Compares the loader's list with ours. Only in the loader's notification, at start, or while no other
/// thread can change the loader's list.
void update_modules(ModuleAdded added, ModuleRemoved removed);

/// Asks the loader to call `changed` from now on, with its lock held, whenever its list has changed and is
/// complete. Errors: kSiteNotPatchable, as TextWriter::apply.
base::Result<void> watch_loader(void (*changed)());

/// What the loader has loaded so far is relocated: functions found in it may be called. Every operation
/// begins with this; the loader's notification does not, for what it has just loaded.
void trust_loaded_code();
/// The program's own __cxa_demangle, or null: patterns then see mangled names only.
site::Demangler::Function demangle_function();

}  // namespace calltap::ops
