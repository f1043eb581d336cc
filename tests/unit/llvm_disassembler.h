// LLVM as the tests use it: the independent disassembler that our AArch64 and RISC-V bytes are checked
// against. clang brings the library; its C interface is stable, so we do without the headers and open it when
// a test asks for it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace calltap::test {

/// One machine's disassembler. Not for several threads.
class LlvmDisassembler {
 public:
  enum class Machine { kAArch64, kRiscV64 };
  explicit LlvmDisassembler(Machine machine);
  LlvmDisassembler(const LlvmDisassembler&) = delete;
  LlvmDisassembler& operator=(const LlvmDisassembler&) = delete;
  ~LlvmDisassembler();

  /// False where there is no LLVM 14; `why` says so.
  [[nodiscard]] bool available() const { return context_ != nullptr; }
  [[nodiscard]] const std::string& why() const { return why_; }

  struct Instruction {
    std::uint64_t address = 0;
    std::size_t length = 0;  // 0 if the bytes are none
    std::string text;        // "ldr x16, [x17, #8]"; operands that are relative show the distance
  };
  [[nodiscard]] Instruction one(std::span<const std::uint8_t> code, std::uint64_t address = 0) const;
  /// All instructions of `code`; stops with an invalid one, which is in the list.
  [[nodiscard]] std::vector<Instruction> all(std::span<const std::uint8_t> code,
                                             std::uint64_t address = 0) const;
  /// Their texts, joined by "; ".
  [[nodiscard]] std::string text(std::span<const std::uint8_t> code) const;

 private:
  void* library_ = nullptr;
  void* context_ = nullptr;
  std::string why_;
};

}  // namespace calltap::test
