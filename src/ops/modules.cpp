#include "ops/modules.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "base/never_destroyed.h"
#include "isa/system.h"
#include "ops/open_modules.h"
#include "trampoline/unwinder.h"

namespace calltap::ops {
namespace {

namespace native = isa::native;
using base::Array;
using base::Error;
using base::ErrorCode;
using base::Result;

/// Which function numbers a file's sites have, so that a file that comes again gets the same.
struct Numbering {
  std::uint64_t identity = 0;
  std::uint32_t first_function = 0;
  std::uint32_t site_count = 0;
};

Module* modules = nullptr;
constinit base::NeverDestroyed<Array<Numbering>> numberings;
std::uint32_t next_function = 1;
void (*loader_changed)() = nullptr;

/// Functions of the program's C++ library. Asking dlsym would make the loader allocate where there is none,
/// with the program's allocator, and change what dlerror() says.
struct LibraryFunctions {
  site::Demangler::Function demangle = nullptr;
  trampoline::Catcher catcher;
};
LibraryFunctions found;    // perhaps in a module that is not relocated yet
LibraryFunctions trusted;  // may be called

std::uint64_t hash(std::span<const std::uint8_t> bytes, std::uint64_t seed) {
  std::uint64_t value = seed ^ 0xcbf29ce484222325;  // FNV-1a
  for (const std::uint8_t byte : bytes) value = (value ^ byte) * 0x100000001b3;
  return value;
}

std::span<const std::uint8_t> bytes_of(const char* text) {
  return {reinterpret_cast<const std::uint8_t*>(text), std::strlen(text)};
}

std::string_view base_name(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  if (slash != std::string_view::npos) path.remove_prefix(slash + 1);
  return path;
}

/// Makes a path from the loader's name: the program has an empty one, and a relative one must be made
/// absolute before the tool reads the file. False for what is not a file (the kernel's vdso).
bool resolve_path(const link_map& map, bool is_program, char* path) {
  const char* name = is_program ? "/proc/self/exe" : map.l_name;
  if (name == nullptr || name[0] == '\0' || std::string_view(name).find('/') == std::string_view::npos)
    return false;
  if (name[0] == '/' && !is_program) {
    if (std::strlen(name) >= Module::kMaxPath) return false;
    std::memcpy(path, name, std::strlen(name) + 1);
    return true;
  }
  const long fd = native::system_call(SYS_openat, AT_FDCWD, reinterpret_cast<long>(name), O_PATH | O_CLOEXEC);
  if (isa::is_error(fd)) return false;
  char link[32] = "/proc/self/fd/";
  char digits[12];
  int count = 0;
  for (long rest = fd; count == 0 || rest != 0; rest /= 10)
    digits[count++] = static_cast<char>('0' + rest % 10);
  for (std::size_t at = 14; count > 0; ++at) link[at] = digits[--count];
  const long n = native::system_call(SYS_readlinkat, AT_FDCWD, reinterpret_cast<long>(link),
                                     reinterpret_cast<long>(path), Module::kMaxPath - 1);
  native::system_call(SYS_close, fd);
  if (n <= 0) return false;
  path[n] = '\0';
  return true;
}

/// The build-id in memory, from the program headers that the loader mapped. Empty if it has none.
std::span<const std::uint8_t> loaded_build_id(const link_map& map, const site::ElfFile& file) {
  for (const site::Segment& segment : file.segments()) {
    if (segment.type != PT_NOTE) continue;
    const std::uint64_t begin = base::to_target(segment.address, map.l_addr).value;
    for (std::uint64_t at = begin; at + sizeof(Elf64_Nhdr) <= begin + segment.file_size;) {
      Elf64_Nhdr note;
      std::memcpy(&note, reinterpret_cast<const void*>(at), sizeof note);
      const std::uint64_t name = at + sizeof note;
      const std::uint64_t description = name + (note.n_namesz + 3) / 4 * 4;
      if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
          std::memcmp(reinterpret_cast<const void*>(name), "GNU", 4) == 0) {
        return {reinterpret_cast<const std::uint8_t*>(description), note.n_descsz};
      }
      at = description + (note.n_descsz + 3) / 4 * 4;
    }
  }
  return {};
}

/// The file on disk may have been replaced since it was loaded. Only a matching build-id, or the same program
/// headers where there is none, makes it the one in memory.
bool is_loaded_file(const link_map& map, const site::ElfFile& file) {
  for (const site::Segment& segment : file.segments()) {
    if (segment.type != PT_LOAD || segment.file_offset != 0) continue;
    const auto header = file.at(segment.address, sizeof(Elf64_Ehdr));
    const auto* loaded = reinterpret_cast<const void*>(base::to_target(segment.address, map.l_addr).value);
    if (header.empty() || std::memcmp(header.data(), loaded, header.size()) != 0) return false;
    const auto id = file.build_id();
    if (id.empty()) return true;
    const auto loaded_id = loaded_build_id(map, file);
    return id.size() == loaded_id.size() && std::memcmp(id.data(), loaded_id.data(), id.size()) == 0;
  }
  return false;
}

/// Files without sites in which there are functions that we need.
bool is_runtime_library(std::string_view name) {
  constexpr std::string_view kNames[] = {"libgcc_s", "libunwind", "libstdc++", "libc++abi"};
  return std::any_of(std::begin(kNames), std::end(kNames), [name](auto n) { return name.starts_with(n); });
}

/// The unwinder's functions that the personality routine needs, and those of the C++ library, if the module
/// has them.
void find_runtime_functions(Module& module) {
  trampoline::Unwinder unwinder;
  for (const site::Symbol& symbol : module.symbols.symbols()) {
    auto* address = reinterpret_cast<void*>(base::to_target(symbol.address, module.load_bias).value);
    if (symbol.name == "_Unwind_GetGR") {
      unwinder.get_register = reinterpret_cast<decltype(unwinder.get_register)>(address);
    } else if (symbol.name == "_Unwind_GetIP") {
      unwinder.get_address = reinterpret_cast<decltype(unwinder.get_address)>(address);
    } else if (symbol.name == "_Unwind_SetGR") {
      unwinder.set_register = reinterpret_cast<decltype(unwinder.set_register)>(address);
    } else if (symbol.name == "_Unwind_SetIP") {
      unwinder.set_address = reinterpret_cast<decltype(unwinder.set_address)>(address);
    } else if (symbol.name == "__cxa_demangle") {
      found.demangle = reinterpret_cast<decltype(found.demangle)>(address);
    } else if (symbol.name == "__cxa_begin_catch") {
      found.catcher.begin = reinterpret_cast<decltype(found.catcher.begin)>(address);
    } else if (symbol.name == "__cxa_end_catch") {
      found.catcher.end = reinterpret_cast<decltype(found.catcher.end)>(address);
    } else if (symbol.name == "_Unwind_DeleteException") {
      unwinder.delete_exception = reinterpret_cast<decltype(unwinder.delete_exception)>(address);
    }
  }
  if (unwinder.get_register == nullptr || unwinder.get_address == nullptr) return;
  for (const site::Segment& segment : module.file.segments()) {
    if (segment.type != PT_LOAD || (segment.flags & PF_X) == 0) continue;
    const std::uint64_t low = base::to_target(segment.address, module.load_bias).value;
    trampoline::add_unwinder(low, low + segment.memory_size, unwinder);
    module.unwinder_at = low;
  }
}

std::uint32_t number_functions(const char* path, const site::ElfFile& file, std::uint32_t count) {
  const std::uint64_t identity = hash(file.build_id(), hash(bytes_of(path), count));
  for (const Numbering& n : numberings.get()) {
    if (n.identity == identity && n.site_count == count) return n.first_function;
  }
  const std::uint32_t first = next_function;
  next_function += count;
  // Without memory for the note, the file gets new numbers next time: more names, nothing wrong.
  static_cast<void>(numberings.get().push_back({identity, first, count}));
  return first;
}

Module* find_module(const link_map& map) {
  for (Module* m = modules; m != nullptr; m = m->next) {
    if (m->map == &map && m->load_bias == map.l_addr &&
        m->dynamic == reinterpret_cast<std::uint64_t>(map.l_ld)) {
      return m;
    }
  }
  return nullptr;
}

/// glibc 2.35 and later: one list a dlmopen namespace, chained in an extended structure.
const r_debug* next_space(const r_debug* space) {
  return space->r_version >= 2
             ? reinterpret_cast<const r_debug*>(reinterpret_cast<const r_debug_extended*>(space)->r_next)
             : nullptr;
}

/// Calls `visit(link_map, is_program)` for every module of every namespace.
template <class Visit>
void for_each_loaded(Visit visit) {
  const r_debug* space = &_r_debug;
  for (bool first_space = true; space != nullptr; first_space = false) {
    bool is_program = first_space;
    for (const link_map* map = space->r_map; map != nullptr; map = map->l_next) {
      visit(*map, is_program);
      is_program = false;
    }
    space = next_space(space);
  }
}

/// From the first to the last segment: the loader keeps the room between them free.
void note_extent(Module& module) {
  for (const site::Segment& segment : module.file.segments()) {
    if (segment.type != PT_LOAD) continue;
    const std::uint64_t begin = base::to_target(segment.address, module.load_bias).value;
    module.begin = module.end == 0 ? begin : std::min(module.begin, begin);
    module.end = std::max(module.end, begin + segment.memory_size);
  }
}

void add_module(const link_map& map, bool is_program, ModuleAdded added) {
  void* memory = isa::map_memory(sizeof(Module));
  if (memory == nullptr) return;
  auto* module = new (memory) Module;
  module->map = &map;
  module->load_bias = map.l_addr;
  module->dynamic = reinterpret_cast<std::uint64_t>(map.l_ld);
  module->seen = true;
  module->next = modules;
  modules = module;
  if (!resolve_path(map, is_program, module->path) || !open_module(*module)) return;
  module->is_usable = true;
  note_extent(*module);
  module->site_count = static_cast<std::uint32_t>(module->sites.size());
  if (module->site_count != 0 || is_runtime_library(module->name())) find_runtime_functions(*module);
  if (module->site_count == 0) {
    close_module(*module);
    return added(*module);
  }
  module->first_function = number_functions(module->path, module->file, module->site_count);
  const auto [first, last] = std::minmax_element(
      module->sites.begin(), module->sites.end(),
      [](const site::Site& a, const site::Site& b) { return a.entry.value < b.entry.value; });
  module->first_entry = base::to_target(first->entry, module->load_bias).value;
  module->last_entry = base::to_target(last->entry, module->load_bias).value;
  added(*module);
}

void remove_unseen(ModuleRemoved removed) {
  for (Module** link = &modules; *link != nullptr;) {
    Module* module = *link;
    if (module->seen) {
      link = &module->next;
      continue;
    }
    removed(*module);
    *link = module->next;
    if (module->unwinder_at != 0) trampoline::remove_unwinder(module->unwinder_at);
    module->~Module();
    isa::unmap_memory(module, sizeof(Module));
  }
}

/// In the loader's place of notification, with its lock held. A list in the middle of a change is not looked
/// at.
void on_loader_change() {
  for (const r_debug* space = &_r_debug; space != nullptr; space = next_space(space)) {
    if (space->r_state != r_debug::RT_CONSISTENT) return;
  }
  loader_changed();
}

}  // namespace

std::string_view Module::name() const { return base_name(path); }

std::span<const site::Site> Module::sites_at(std::uint64_t entry) const {
  const base::LinkAddress address = base::to_link(base::TargetAddress(entry), load_bias);
  const site::Site* first =
      std::lower_bound(sites.begin(), sites.end(), address,
                       [](const site::Site& site, base::LinkAddress wanted) { return site.entry < wanted; });
  const site::Site* last = first;
  while (last != sites.end() && last->entry == address) ++last;
  return {first, last};
}

std::string_view Module::function_name(std::uint64_t entry, std::span<char> buffer) const {
  return site::function_name(symbols, name(), base::to_link(base::TargetAddress(entry), load_bias), buffer);
}

Result<void> open_module(Module& module) {
  if (module.is_open) return {};
  auto file = site::ElfFile::open(module.path);
  if (!file) return file.error();
  if (!is_loaded_file(*module.map, *file)) return ErrorCode::kBuildIdMismatch;
  auto sites = site::discover(*file);
  if (!sites) return sites.error();
  module.file = std::move(*file);
  module.sites = std::move(*sites);
  if (!module.sites.empty() || is_runtime_library(module.name())) {
    auto symbols = site::SymbolTable::load(module.file, "/usr/lib/debug", module.path);
    if (!symbols) return symbols.error();
    module.symbols = std::move(*symbols);
  }
  module.is_open = true;
  return {};
}

void close_module(Module& module) {
  module.names = site::NameIndex();
  module.symbols = site::SymbolTable();
  module.sites = Array<site::Site>();
  module.file = site::ElfFile();
  module.is_open = false;
}

Result<const site::NameIndex*> name_index(Module& module) {
  if (module.names.empty()) {
    auto made = site::NameIndex::build(module.sites, module.symbols, module.name());
    if (!made) return made.error();
    module.names = std::move(*made);
  }
  return &module.names;
}

namespace {

bool modules_stay_closed = false;

}  // namespace

void keep_modules_closed(bool closed) { modules_stay_closed = closed; }

OpenModules::~OpenModules() {
  for (Module* m = modules; modules_stay_closed && m != nullptr; m = m->next) close_module(*m);
}

Module* first_module() { return modules; }

Module* find_module(std::uint64_t address) {
  for (Module* m = modules; m != nullptr; m = m->next) {
    if (address >= m->begin && address < m->end) return m;
  }
  return nullptr;
}

void update_modules(ModuleAdded added, ModuleRemoved removed) {
  numberings.create_once();
  for (Module* m = modules; m != nullptr; m = m->next) m->seen = false;
  for_each_loaded([](const link_map& map, bool) {
    if (Module* known = find_module(map)) known->seen = true;
  });
  remove_unseen(removed);
  for_each_loaded([added](const link_map& map, bool is_program) {
    if (find_module(map) == nullptr) add_module(map, is_program, added);
  });
}

void trust_loaded_code() {
  if (found.demangle != nullptr) trusted.demangle = found.demangle;
  if (found.catcher.begin == nullptr || found.catcher.end == nullptr) return;
  if (trusted.catcher.begin == found.catcher.begin) return;
  trusted.catcher = found.catcher;
  trampoline::set_catcher(trusted.catcher);
}

site::Demangler::Function demangle_function() { return trusted.demangle; }

Result<void> watch_loader(void (*changed)()) {
  loader_changed = changed;
  // glibc's _dl_debug_state is an empty function. Debuggers put a breakpoint there and are content with
  // whatever bytes they find.
  const std::uint64_t notification = _r_debug.r_brk;
  if (notification == 0) return ErrorCode::kSiteNotPatchable;
  patch::Patcher patcher;
  return patcher.redirect(notification, reinterpret_cast<std::uint64_t>(&on_loader_change));
}

}  // namespace calltap::ops
