// Zydis as the tests use it: the independent disassembler that our x86-64 bytes are checked against.
#pragma once

#include <Zydis/Zydis.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace calltap::test {

struct Disassembled {
  std::uint64_t address = 0;
  ZydisMnemonic mnemonic = ZYDIS_MNEMONIC_INVALID;
  std::uint8_t length = 0;
  bool touches_memory = false;  // reads or writes it, or pushes; the operand of a NOP does not count
  std::uint64_t target = 0;     // of the first operand that is relative to the instruction pointer
  std::string text;             // Intel syntax
};

/// The first instruction of `code`; mnemonic INVALID and length 0 if it is none.
inline Disassembled disassemble_one(std::span<const std::uint8_t> code, std::uint64_t address) {
  Disassembled out;
  out.address = address;
  ZydisDecoder decoder;
  ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  ZydisDecodedInstruction instruction;
  ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
  if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, code.data(), code.size(), &instruction, operands)))
    return out;

  out.mnemonic = instruction.mnemonic;
  out.length = instruction.length;
  for (unsigned i = 0; i < instruction.operand_count; ++i) {
    const bool memory = operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY;
    out.touches_memory |=
        memory && operands[i].mem.type == ZYDIS_MEMOP_TYPE_MEM && out.mnemonic != ZYDIS_MNEMONIC_NOP;
    ZyanU64 target = 0;
    if (out.target == 0 &&
        ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(&instruction, &operands[i], address, &target))) {
      out.target = target;
    }
  }
  ZydisFormatter formatter;
  ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
  ZydisFormatterSetProperty(&formatter, ZYDIS_FORMATTER_PROP_HEX_UPPERCASE, ZYAN_FALSE);
  char buffer[128];
  if (ZYAN_SUCCESS(ZydisFormatterFormatInstruction(&formatter, &instruction, operands,
                                                   instruction.operand_count_visible, buffer, sizeof buffer,
                                                   address, nullptr))) {
    out.text = buffer;
  }
  return out;
}

/// All instructions of `code`; stops with an invalid one, which is in the list.
inline std::vector<Disassembled> disassemble(std::span<const std::uint8_t> code, std::uint64_t address) {
  std::vector<Disassembled> all;
  while (!code.empty()) {
    all.push_back(disassemble_one(code, address));
    if (all.back().length == 0) break;
    code = code.subspan(all.back().length);
    address += all.back().length;
  }
  return all;
}

/// "e9 fb 0f 00 00"
inline std::string hex_bytes(std::span<const std::uint8_t> code) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (std::uint8_t b : code) {
    if (!text.empty()) text += ' ';
    text += kDigits[b >> 4];
    text += kDigits[b & 15];
  }
  return text;
}

}  // namespace calltap::test
