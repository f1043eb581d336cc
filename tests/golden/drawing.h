// Bytes beside the disassembly of LLVM, for golden tests.
#pragma once

#include <cstdio>
#include <string>

#include "llvm_disassembler.h"

namespace calltap::test {

inline std::string line(std::uint64_t address, std::span<const std::uint8_t> bytes, const std::string& text) {
  char buffer[160];
  int used = std::snprintf(buffer, sizeof buffer, "  %012llx  ", static_cast<unsigned long long>(address));
  for (std::size_t i = 0; i < 8; ++i) {
    char* end = buffer + used;
    const std::size_t room = sizeof buffer - static_cast<std::size_t>(used);
    used += i < bytes.size() ? std::snprintf(end, room, "%02x ", bytes[i]) : std::snprintf(end, room, "   ");
  }
  return std::string(buffer) + " " + text + "\n";
}

/// A line for each instruction.
inline std::string lines(const LlvmDisassembler& llvm, std::span<const std::uint8_t> code,
                         std::uint64_t address) {
  std::string text;
  for (const LlvmDisassembler::Instruction& i : llvm.all(code, address)) {
    const std::size_t length = i.length == 0 ? 1 : i.length;
    text += line(i.address, code.subspan(i.address - address, length), i.length == 0 ? "(bad)" : i.text);
  }
  return text;
}

/// A line for a pointer.
inline std::string literal_line(std::span<const std::uint8_t> bytes, std::uint64_t address) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < 8; ++i) value |= std::uint64_t{bytes[i]} << (8 * i);
  char text[32];
  std::snprintf(text, sizeof text, ".quad 0x%llx", static_cast<unsigned long long>(value));
  return line(address, bytes.first(8), text);
}

}  // namespace calltap::test
