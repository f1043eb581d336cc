#include "recorder/backtrace.h"

#include <dlfcn.h>
#include <elf.h>

#include <atomic>

#include "isa/system.h"
#include "recorder/stack_memory.h"
#include "trampoline/code.h"
#include "unwind/frame_table.h"

// Of glibc 2.35 and later: neither locks nor allocates, and works in signal handlers. Not in older ones,
// which this library runs with too.
extern "C" __attribute__((weak)) int _dl_find_object(void* address, struct dl_find_object* result) noexcept;

namespace calltap::recorder {
namespace {

using unwind::Description;
using unwind::Range;
using unwind::Registers;
using unwind::Step;
using unwind::Tables;

std::uint64_t number(const void* pointer) { return reinterpret_cast<std::uint64_t>(pointer); }

/// What one backtrace needs, which is too much for the stacks of coroutines.
struct Workspace {
  struct KnownModule {
    Range mapping;
    Tables tables;
  };

  StackMemory memory;
  unwind::Space space;
  Registers registers;
  Description description;
  dl_find_object found;
  KnownModule modules[4];  // that were met in this backtrace
  std::size_t module_count;
  std::uint64_t frames[kMostFrames];
  std::size_t count;
};

Workspace* workspaces = nullptr;  // one a writer
std::size_t workspace_bytes = 0;  // of all
Range own_code[2];                // the mappings of this library and of the trampolines in use

bool is_own(std::uint64_t address) { return own_code[0].contains(address) || own_code[1].contains(address); }

bool find_mapping(std::uint64_t address, Range& mapping) {
  dl_find_object found;
  if (_dl_find_object(reinterpret_cast<void*>(address), &found) != 0) return false;
  mapping = {number(found.dlfo_map_start), number(found.dlfo_map_end)};
  return true;
}

/// Finds the segments that the tables of a module are in, by the program headers behind its first byte. Where
/// that can be read is asked of the kernel once: it is the beginning of the first segment, which nobody makes
/// unreadable.
class Segments {
 public:
  Segments(StackMemory& memory, Range mapping) : memory_(memory), mapping_(mapping) {}

  bool read() {
    if (!is_readable()) return false;
    __builtin_memcpy(&header_, reinterpret_cast<const void*>(mapping_.begin), sizeof header_);
    if (__builtin_memcmp(header_.e_ident, ELFMAG, SELFMAG) != 0) return false;
    // Within what was asked for.
    if (header_.e_phoff > kBytes || header_.e_phnum > (kBytes - header_.e_phoff) / sizeof(Elf64_Phdr))
      return false;
    Elf64_Phdr first;
    for (unsigned n = 0; segment(n, first); ++n) {
      if (first.p_type != PT_LOAD) continue;
      bias_ = mapping_.begin - first.p_vaddr;
      return first.p_offset == 0;
    }
    return false;
  }

  /// The readable one that holds the address; empty if none does.
  Range holding(std::uint64_t address) {
    Elf64_Phdr header;
    for (unsigned n = 0; segment(n, header); ++n) {
      const std::uint64_t begin = bias_ + header.p_vaddr;
      const Range range = {begin, begin + header.p_filesz};
      if (header.p_type == PT_LOAD && (header.p_flags & PF_R) != 0 && range.contains(address) &&
          mapping_.contains(begin) && range.end <= mapping_.end)
        return range;
    }
    return {};
  }

 private:
  static constexpr std::uint64_t kBytes = 4096;  // a page at least

  bool is_readable() {
    static std::atomic<std::uint64_t> known[64];
    std::atomic<std::uint64_t>& place = known[mapping_.begin / kBytes * 0x9e3779b97f4a7c15 >> 58];
    if (place.load(std::memory_order_relaxed) == mapping_.begin) return true;
    std::uint64_t word = 0;
    if (mapping_.end - mapping_.begin < kBytes || !memory_.read(mapping_.begin, &word, sizeof word))
      return false;
    place.store(mapping_.begin, std::memory_order_relaxed);
    return true;
  }

  bool segment(unsigned n, Elf64_Phdr& to) const {
    if (n >= header_.e_phnum) return false;
    const std::uint64_t at = mapping_.begin + header_.e_phoff + n * sizeof to;
    __builtin_memcpy(&to, reinterpret_cast<const void*>(at), sizeof to);
    return true;
  }

  StackMemory& memory_;
  Range mapping_;
  Elf64_Ehdr header_ = {};
  std::uint64_t bias_ = 0;
};

/// Walks from `w.registers` outwards.
class Walk {
 public:
  explicit Walk(Workspace& w) : w_(w) {}

  /// True if all callers were found.
  bool run() {
    // Own code and code between two calls are further steps.
    constexpr std::uint32_t kMostSteps = 3 * kMostFrames;
    constexpr std::uint32_t kMostWork = 100'000;
    w_.space.work = kMostWork;
    for (std::uint32_t steps = 0; steps < kMostSteps; ++steps) {
      if (w_.registers.counter == 0) return true;
      const std::uint64_t stack = w_.registers.value[unwind::kStackColumn];
      const Step step = leave_frame();
      if (step == Step::kOutermost) return true;
      if (step == Step::kUnreadable || (!is_exact_ && w_.registers.value[unwind::kStackColumn] < stack))
        break;
      if (w_.registers.counter == 0) return true;
      if (is_own(inside())) continue;
      if (w_.count == kMostFrames) break;
      w_.frames[w_.count++] = w_.registers.counter;
    }
    return false;
  }

 private:
  /// A return address may lie behind the function that has made the call.
  [[nodiscard]] std::uint64_t inside() const { return w_.registers.counter - (is_exact_ ? 0 : 1); }

  Step leave_frame() {
    const bool found = find_function(inside());
    if ((!found || w_.description.is_signal_frame) && is_signal_return()) return leave_signal_frame();
    if (!found) return is_where_coroutine_ends() ? Step::kOutermost : Step::kUnreadable;
    const std::uint64_t at = inside();
    is_exact_ = w_.description.is_signal_frame;
    const unwind::Memory memory = {read, &w_.memory};
    return unwind::step_out(w_.description, at, memory, w_.space, w_.registers);
  }

  /// What a coroutine's first function returns to was not called: it returns to its beginning, and not behind
  /// a call in it.
  bool is_where_coroutine_ends() {
    const std::uint64_t at = w_.registers.counter;
    return !is_exact_ && find_function(at) && at == w_.description.begin;
  }

  static bool read(void* memory, std::uint64_t address, void* to, std::size_t bytes) {
    return static_cast<StackMemory*>(memory)->read(address, to, bytes);
  }

  bool find_function(std::uint64_t address) {
    for (std::size_t i = 0; i < w_.module_count; ++i) {
      if (w_.modules[i].mapping.contains(address))
        return unwind::find_description(w_.modules[i].tables, address, w_.description);
    }
    if (_dl_find_object(reinterpret_cast<void*>(address), &w_.found) != 0) return false;
    constexpr std::size_t kRoom = sizeof w_.modules / sizeof w_.modules[0];
    Workspace::KnownModule& module = w_.modules[w_.module_count % kRoom];
    w_.module_count = w_.module_count == kRoom ? kRoom : w_.module_count + 1;
    module.mapping = {number(w_.found.dlfo_map_start), number(w_.found.dlfo_map_end)};
    module.tables = tables_of(module.mapping, number(w_.found.dlfo_eh_frame));
    return unwind::find_description(module.tables, address, w_.description);
  }

  Tables tables_of(Range mapping, std::uint64_t header) {
    Tables tables;
    Segments segments(w_.memory, mapping);
    if (header == 0 || !segments.read()) return tables;
    tables.header = header;
    tables.header_memory = segments.holding(header);
    tables.frame_memory = segments.holding(unwind::frame_section(tables));
    return tables;
  }

  bool is_signal_return() {
    if (isa::native::kSignalReturnCode == 0) return false;
    std::uint64_t code = 0;
    const std::uint64_t at = w_.registers.counter;
    return w_.memory.read(at, &code, sizeof code) && code == isa::native::kSignalReturnCode;
  }

  /// By what the kernel has put on the stack: only where tables do not say it.
  Step leave_signal_frame() {
    using isa::native::kCounterFirst;
    Registers& registers = w_.registers;
    std::uint64_t at = registers.value[unwind::kStackColumn] + isa::native::kInterruptedRegisters;
    std::uint64_t value = 0;
    for (unsigned n = 0; n <= unwind::kColumns; ++n, at += sizeof value) {
      if (!w_.memory.read(at, &value, sizeof value)) return Step::kUnreadable;
      // The counter is the first, in place of a register that is always zero, or behind all registers.
      if (n == (kCounterFirst ? 0 : unwind::kColumns)) {
        registers.counter = value;
        if (!kCounterFirst) break;
      } else if (n < unwind::kColumns) {
        registers.set(n, value);
      }
    }
    is_exact_ = true;
    return Step::kCaller;
  }

  Workspace& w_;
  bool is_exact_ = true;  // the counter is where the function was interrupted, or this is asked
};

}  // namespace

base::Result<void> prepare_backtraces(std::size_t writers, ops::Failure& failure) {
  if (_dl_find_object == nullptr) {
    failure.reason = "call stacks need the GNU C library 2.35 or later";
    return base::ErrorCode::kInvalidArgument;
  }
  if (!find_mapping(number(&ct_code), own_code[0]) ||
      !find_mapping(number(trampoline::code().recorder), own_code[1])) {
    failure.reason = "the loader does not know where Calltap's own code is";
    return base::ErrorCode::kInvalidArgument;
  }
  if (workspaces != nullptr) return {};
  void* memory = isa::map_memory(writers * sizeof(Workspace), MAP_NORESERVE);
  if (memory == nullptr) return base::ErrorCode::kOutOfMemory;
  workspaces = static_cast<Workspace*>(memory);
  workspace_bytes = writers * sizeof(Workspace);
  return {};
}

void release_backtraces() {
  if (workspaces == nullptr) return;
  isa::unmap_memory(workspaces, workspace_bytes);
  workspaces = nullptr;
}

bool has_backtraces() { return workspaces != nullptr; }

__attribute__((noinline)) Backtrace take_backtrace(std::size_t writer, std::uint64_t entry) {
  Workspace& w = workspaces[writer];
  w.memory.begin();
  w.module_count = 0;
  w.frames[0] = entry;
  w.count = 1;
  w.registers.known = isa::native::read_unwind_registers(w.registers.value, w.registers.counter);
  const bool is_complete = Walk(w).run();
  return {{w.frames, w.count}, is_complete};
}

}  // namespace calltap::recorder
