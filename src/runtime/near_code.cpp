#include "runtime/near_code.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>

#include "isa/system.h"
#include "patch/memory_map.h"
#include "site/elf_file.h"
#include "trampoline/code.h"

namespace calltap::runtime {
namespace {

namespace native = isa::native;
using plan::Range;

constexpr char kFileName[] = "libcalltap-trampolines.so";
constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kNear = std::uint64_t{1} << 31;
// Less than the library needs, and more than the heap's first piece, which malloc takes with brk.
constexpr std::uint64_t kTooSmall = 192 * 1024;

std::uint64_t number(const void* address) { return reinterpret_cast<std::uint64_t>(address); }

bool are_near(std::uint64_t a, std::uint64_t b) { return a - b < kNear || b - a < kNear; }

/// Modules are mapped in one piece each, beginning at their load bias, unless they are linked for a fixed
/// address.
const link_map* module_at(std::uint64_t address) {
  const link_map* best = nullptr;
  for (const link_map* map = _r_debug.r_map; map != nullptr; map = map->l_next) {
    const bool is_better = best == nullptr || map->l_addr > best->l_addr;
    if (map->l_addr <= address && is_better) best = map;
  }
  return best;
}

std::string_view name_of(const link_map* map) {
  if (map == nullptr || map->l_name == nullptr) return {};
  std::string_view name = map->l_name;
  const std::size_t slash = name.rfind('/');
  if (slash != std::string_view::npos) name.remove_prefix(slash + 1);
  return name;
}

/// Programs may define these themselves: their loader's functions want to be initialised first, and their
/// allocators are not for us to call.
bool functions_are_libcs() {
  for (const void* function :
       {reinterpret_cast<const void*>(&dlopen), reinterpret_cast<const void*>(&dlsym),
        reinterpret_cast<const void*>(&dlclose), reinterpret_cast<const void*>(&malloc),
        reinterpret_cast<const void*>(&calloc), reinterpret_cast<const void*>(&free)}) {
    const std::string_view name = name_of(module_at(number(function)));
    if (!name.starts_with("libc.so.") && !name.starts_with("libdl.so.")) return false;
  }
  return true;
}

bool program_has_sites() {
  auto file = site::ElfFile::open("/proc/self/exe");
  return file && (file->section("__patchable_function_entries") != nullptr ||
                  file->section("__mcount_loc") != nullptr);
}

/// The library beside this one. False if there is none.
bool find_file(char (&path)[4096]) {
  const link_map* own = _r_debug.r_map;
  while (own != nullptr && own->l_ld != _DYNAMIC) own = own->l_next;
  if (own == nullptr || own->l_name == nullptr) return false;
  const std::string_view name = own->l_name;
  const std::size_t slash = name.rfind('/');
  if (slash == std::string_view::npos || slash + 1 + sizeof kFileName > sizeof path) return false;
  std::memcpy(path, name.data(), slash + 1);
  std::memcpy(path + slash + 1, kFileName, sizeof kFileName);
  return !isa::is_error(native::system_call(SYS_faccessat, AT_FDCWD, reinterpret_cast<long>(path), R_OK));
}

/// Address space above the program where the library cannot be mapped while the object lives.
class Reservation {
 public:
  Reservation() = default;
  ~Reservation() {
    for (std::size_t i = 0; i < count_; ++i) {
      native::system_call(SYS_munmap, static_cast<long>(ranges_[i].begin), size(ranges_[i]));
    }
  }
  Reservation(const Reservation&) = delete;
  Reservation& operator=(const Reservation&) = delete;

  /// Every gap above `program` and below the stack that the library would fit into, but for room for the
  /// heap's first piece.
  bool reserve(std::uint64_t program, std::uint64_t stack) {
    auto used = patch::read_memory_map();
    if (!used) return false;
    const auto heap = static_cast<std::uint64_t>(native::system_call(SYS_brk, 0));
    const std::uint64_t heap_end = (heap + kPage - 1) / kPage * kPage;
    for (std::size_t i = 0; i + 1 < used->size(); ++i) {
      Range gap = {(*used)[i].end, (*used)[i + 1].begin};
      // Below the stack there must be room for it to grow.
      if ((*used)[i + 1].end > stack) break;
      if (gap.begin < program) continue;
      if (heap_end >= gap.begin && heap_end < gap.end) {
        if (!add({gap.begin, heap_end})) return false;
        gap.begin = heap_end + kTooSmall;
      }
      if (gap.begin < gap.end && !add(gap)) return false;
    }
    return true;
  }

 private:
  static constexpr std::size_t kMostRanges = 256;

  static long size(const Range& range) { return static_cast<long>(range.end - range.begin); }

  bool add(Range range) {
    if (range.end - range.begin < kTooSmall) return true;
    if (count_ == kMostRanges) return false;
    const long result =
        native::system_call(SYS_mmap, static_cast<long>(range.begin), size(range), PROT_NONE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    constexpr long kExists = -17;
    if (result == kExists) {
      // What we have allocated since the map was read: reserve the space around it.
      const std::uint64_t middle = (range.begin + range.end) / 2 / kPage * kPage;
      return add({range.begin, middle}) && add({middle, range.end});
    }
    if (isa::is_error(result)) return false;
    // A kernel that does not know the flag took it as a hint.
    ranges_[count_++] = {static_cast<std::uint64_t>(result),
                         static_cast<std::uint64_t>(result + size(range))};
    return true;
  }

  Range ranges_[kMostRanges];
  std::size_t count_ = 0;
};

/// Null if it cannot be loaded near the program.
const trampoline::Code* load(const char* path, std::uint64_t program, std::uint64_t stack) {
  void* library = nullptr;
  {
    Reservation reservation;
    if (!reservation.reserve(program, stack)) return nullptr;
    library = ::dlopen(path, RTLD_NOW | RTLD_LOCAL);
  }
  if (library == nullptr) {
    static_cast<void>(::dlerror());  // the program's next call of it must not get ours
    return nullptr;
  }
  const void* symbol = ::dlsym(library, "ct_code");
  if (symbol != nullptr && are_near(number(symbol), program))
    return static_cast<const trampoline::Code*>(symbol);
  static_cast<void>(::dlclose(library));
  return nullptr;
}

}  // namespace

void use_code_near_program(char** environment) {
  const std::uint64_t program = number(_r_debug.r_map->l_ld);
  if (are_near(program, number(_DYNAMIC)) || patch::thread_count() != 1 || !program_has_sites()) return;
  char path[4096];
  if (!functions_are_libcs() || !find_file(path)) return;
  const trampoline::Code* code = load(path, program, number(environment));
  if (code != nullptr) static_cast<void>(trampoline::use_code(*code));
}

}  // namespace calltap::runtime
