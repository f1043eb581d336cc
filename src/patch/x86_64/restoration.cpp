#include "patch/x86_64/restoration.h"

#include <algorithm>

#include "isa/x86_64/encode.h"

namespace calltap::patch {
namespace {

namespace x86 = isa::x86_64;

constexpr std::uint8_t kNop = 0x90;
constexpr std::uint8_t kTestEax = 0xa9;     // test $imm32, %eax: as long as jmp rel32
constexpr std::uint8_t kTestMemory = 0x85;  // with the modrm byte of the stub's jump: test %esp, (%r11)
constexpr std::uint8_t kRegisters = 0xf8;   // modrm: test %edi, %r8d; alone: clc

bool are_nops(std::span<const std::uint8_t> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t byte) { return byte == kNop; });
}

/// Steps of one sled. `at` is an index into it.
class Steps {
 public:
  Steps(std::uint32_t offset, base::Array<RestoreStep>& steps) : offset_(offset), steps_(steps) {}
  void add(std::size_t at, std::uint8_t pass, std::uint8_t from, std::uint8_t to) {
    if (from == to) return;
    complete_ = complete_ && steps_.push_back({offset_ + static_cast<std::uint32_t>(at), pass, from, to});
  }
  [[nodiscard]] bool complete() const { return complete_; }

 private:
  std::uint32_t offset_;
  base::Array<RestoreStep>& steps_;
  bool complete_ = true;
};

/// mov $record, %r11d; jmp *(%r11)
void add_stub(std::span<const std::uint8_t> pad, std::size_t at, Steps& steps) {
  steps.add(at + 7, 0, pad[7], kTestMemory);
  steps.add(at + 8, 1, pad[8], kRegisters);
  steps.add(at + 6, 2, pad[6], kNop);
  steps.add(at + 1, 2, pad[1], kTestEax);
  steps.add(at + 7, 3, kTestMemory, kNop);
  for (std::size_t i = 2; i < 6; ++i) steps.add(at + i, 3, pad[i], kNop);
  steps.add(at + 8, 4, kRegisters, kNop);
  steps.add(at, 4, pad[0], kNop);
  steps.add(at + 1, 5, kTestEax, kNop);
}

/// jmp rel32
void add_jump(std::span<const std::uint8_t> pad, std::size_t at, Steps& steps) {
  steps.add(at, 0, pad[0], kTestEax);
  for (std::size_t i = 1; i < x86::kJmpRel32Bytes; ++i) steps.add(at + i, 1, pad[i], kNop);
  steps.add(at, 2, kTestEax, kNop);
}

}  // namespace

Restored plan_restoration(const PreparedSled& sled, std::uint32_t offset, base::Array<RestoreStep>& steps) {
  const std::size_t differs = static_cast<std::size_t>(
      std::mismatch(sled.memory.begin(), sled.memory.end(), sled.file.begin()).first - sled.memory.begin());
  if (differs == sled.memory.size()) return Restored::kPlanned;
  const bool converted = sled.memory[sled.unit] != sled.file[sled.unit];
  if (converted) return Restored::kLeft;
  Steps planned(offset, steps);
  if (differs < sled.entry) {
    const std::size_t length = sled.entry - differs;
    const auto pad = sled.memory.subspan(differs, length);
    if (!are_nops(sled.file.subspan(differs, length))) return Restored::kLeft;
    if (length == x86::kPadStubBytes && pad[0] == 0x41 && pad[1] == 0xbb && pad[6] == 0x41 &&
        pad[7] == 0xff) {
      add_stub(pad, differs, planned);
    } else if (length == x86::kJmpRel32Bytes && pad[0] == x86::kJmpRel32) {
      add_jump(pad, differs, planned);
    } else {
      return Restored::kLeft;
    }
  }
  for (std::size_t i = sled.unit; i < sled.memory.size(); ++i) {
    planned.add(i, 0, sled.memory[i], sled.file[i]);
  }
  return planned.complete() ? Restored::kPlanned : Restored::kNoMemory;
}

}  // namespace calltap::patch
