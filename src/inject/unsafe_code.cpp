#include "inject/unsafe_code.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>

#include "inject/call_frames.h"

namespace calltap::inject {
namespace {

/// The functions of every allocator that takes malloc's place, whatever module has them.
constexpr std::array<std::string_view, 22> kAllocator{"malloc",
                                                      "free",
                                                      "calloc",
                                                      "realloc",
                                                      "reallocarray",
                                                      "cfree",
                                                      "memalign",
                                                      "valloc",
                                                      "pvalloc",
                                                      "mallopt",
                                                      "mallinfo",
                                                      "mallinfo2",
                                                      "malloc_trim",
                                                      "malloc_info",
                                                      "malloc_usable_size",
                                                      "malloc_size",
                                                      "malloc_stats",
                                                      "aligned_alloc",
                                                      "posix_memalign",
                                                      "mallctl",
                                                      "free_sized",
                                                      "free_aligned_sized"};

/// What allocators call their own: jemalloc, tcmalloc, mimalloc, TBB; operator new and delete, mangled.
constexpr std::array<std::string_view, 16> kAllocatorPrefixes{"je_",
                                                              "tc_",
                                                              "mi_",
                                                              "scalable_",
                                                              "_Znw",
                                                              "_Zna",
                                                              "_Zdl",
                                                              "_Zda",
                                                              "__libc_malloc",
                                                              "__libc_free",
                                                              "__libc_calloc",
                                                              "__libc_realloc",
                                                              "__libc_memalign",
                                                              "__libc_valloc",
                                                              "__libc_pvalloc",
                                                              "__libc_reallocarray"};

constexpr std::array<std::string_view, 6> kExtendedAllocator{"mallocx", "rallocx", "xallocx",
                                                             "sallocx", "dallocx", "sdallocx"};

/// glibc's other functions with locks that loading a library, or a thread that it starts, takes.
constexpr std::array<std::string_view, 25> kLocked{"fork",
                                                   "_Fork",
                                                   "__libc_fork",
                                                   "__fork",
                                                   "vfork",
                                                   "__vfork",
                                                   "posix_spawn",
                                                   "posix_spawnp",
                                                   "pthread_create",
                                                   "pthread_exit",
                                                   "pthread_detach",
                                                   "pthread_atfork",
                                                   "exit",
                                                   "quick_exit",
                                                   "__cxa_atexit",
                                                   "__cxa_finalize",
                                                   "on_exit",
                                                   "at_quick_exit",
                                                   "setenv",
                                                   "unsetenv",
                                                   "putenv",
                                                   "clearenv",
                                                   "__register_atfork",
                                                   "pthread_getattr_np",
                                                   "_dl_addr"};
constexpr std::array<std::string_view, 5> kJoin{"pthread_join", "pthread_tryjoin_np", "pthread_timedjoin_np",
                                                "pthread_clockjoin_np", "thrd_join"};

template <std::size_t N>
bool is_one_of(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool is_allocator(std::string_view name) {
  return is_one_of(kAllocator, name) || is_one_of(kExtendedAllocator, name) ||
         std::any_of(kAllocatorPrefixes.begin(), kAllocatorPrefixes.end(),
                     [&](std::string_view prefix) { return name.starts_with(prefix); });
}

bool is_loading(std::string_view name) {
  return name.starts_with("dl") || name.starts_with("_dl_") || name.starts_with("__libc_dl");
}

bool is_allocator_module(const Module& module) { return module.soname.find("malloc") != std::string::npos; }

/// Where the jumps with 32-bit displacements in these bytes lead. Bytes are not decoded: a place in the
/// middle of an instruction may look like a jump, so the caller takes only targets at which something begins.
std::vector<std::uint64_t> jump_targets(const std::vector<std::uint8_t>& bytes, std::uint64_t address) {
  std::vector<std::uint64_t> targets;
  for (std::size_t at = 0; at + 5 <= bytes.size(); ++at) {
    const bool jump = bytes[at] == 0xE9;
    const bool conditional = at > 0 && bytes[at - 1] == 0x0F && (bytes[at] & 0xF0) == 0x80;
    if (!jump && !conditional) continue;
    std::int32_t displacement = 0;
    std::memcpy(&displacement, bytes.data() + at + 1, sizeof displacement);
    targets.push_back(address + at + 5 + static_cast<std::uint64_t>(std::int64_t{displacement}));
  }
  return targets;
}

}  // namespace

void UnsafeCode::add(UnsafeRange range) {
  auto at = std::upper_bound(ranges_.begin(), ranges_.end(), range,
                             [](const auto& a, const auto& b) { return a.code.begin < b.code.begin; });
  // Of several names for a function, the shortest is the one that people know.
  if (at != ranges_.begin() && (at - 1)->code.begin == range.code.begin) {
    UnsafeRange& there = *(at - 1);
    there.code.end = std::max(there.code.end, range.code.end);
    there.safe_while_waiting &= range.safe_while_waiting;
    if (range.what.size() < there.what.size()) there.what = std::move(range.what);
    return;
  }
  ranges_.insert(at, std::move(range));
}

/// A frame of an unsafe function is found by its return address, unless it has ended in a tail call: so what
/// it jumps to is unsafe too, and what that jumps to. (A compiler's cold part of a function is also reached
/// by a jump.)
void UnsafeCode::add_tail_calls(const Module& module, const TargetMemory& memory) {
  constexpr std::uint64_t kMostBytes = 1 << 16;
  std::vector<UnsafeRange> open;
  std::copy_if(ranges_.begin(), ranges_.end(), std::back_inserter(open),
               [&](const UnsafeRange& range) { return module.has_code(range.code.begin); });
  while (!open.empty()) {
    const UnsafeRange from = std::move(open.back());
    open.pop_back();
    const Range code = from.code;
    if (code.end - code.begin > kMostBytes) continue;
    for (const std::uint64_t target :
         jump_targets(memory.bytes(code.begin, code.end - code.begin), code.begin)) {
      if (code.contains(target) || !module.has_code(target) || find(target) != nullptr) continue;
      const auto frame = frame_at(module, memory, target);
      if (!frame || frame->code.begin != target) continue;
      open.push_back({frame->code, from.what, from.safe_while_waiting});
      add(open.back());
    }
  }
}

void UnsafeCode::add_functions(const Module& module, const TargetMemory& memory) {
  const bool is_libc = module.soname == "libc.so.6";
  for (const Function& function : module.functions) {
    const bool joins = is_libc && is_one_of(kJoin, function.name);
    if (!is_allocator(function.name) && !joins &&
        !(is_libc && (is_one_of(kLocked, function.name) || is_loading(function.name))))
      continue;
    Range code{function.begin, function.begin + function.size};
    if (function.size == 0) {
      const auto frame = frame_at(module, memory, function.begin);
      if (!frame) continue;
      code = frame->code;
    }
    add({code, std::string(function.name), joins});
  }
}

UnsafeCode::UnsafeCode(const std::vector<Module>& modules, const TargetMemory& memory) {
  for (const Module& module : modules) {
    const bool is_loader = module.loader_map != 0;
    if (is_loader || is_allocator_module(module)) {
      for (const Range& code : module.code)
        add({code, is_loader ? "the dynamic loader" : module.soname, false});
    }
  }
  for (const Module& module : modules) add_functions(module, memory);
  for (const Module& module : modules) add_tail_calls(module, memory);
}

const UnsafeRange* UnsafeCode::find(std::uint64_t address) const {
  auto after =
      std::upper_bound(ranges_.begin(), ranges_.end(), address,
                       [](std::uint64_t value, const UnsafeRange& r) { return value < r.code.begin; });
  // Ranges may overlap where symbols do, by little: the nearest few before the address.
  for (int most = 4; most > 0 && after != ranges_.begin(); --most) {
    --after;
    if (after->code.contains(address)) return &*after;
  }
  return nullptr;
}

}  // namespace calltap::inject
