#include "llvm_disassembler.h"

#include <dlfcn.h>

#include <algorithm>
#include <array>

namespace calltap::test {
namespace {

// The declarations of llvm-c/Disassembler.h and llvm-c/Target.h that we use.
using Initialize = void();
using Create = void*(const char* triple, const char* processor, const char* features, void* info,
                     int tag_type, void* operand_callback, void* symbol_callback);
using Disassemble = std::size_t(void* context, std::uint8_t* bytes, std::uint64_t size, std::uint64_t address,
                                char* text, std::size_t text_size);
using Dispose = void(void* context);

constexpr const char* kLibrary = "libLLVM-14.so.1";

struct Target {
  const char* name;
  const char* triple;
  const char* features;
};

Target target_of(LlvmDisassembler::Machine machine) {
  if (machine == LlvmDisassembler::Machine::kAArch64) return {"AArch64", "aarch64-linux-gnu", "+bti,+pauth"};
  return {"RISCV", "riscv64-linux-gnu", "+m,+a,+f,+d,+c"};
}

template <class Function>
Function* function(void* library, const std::string& name) {
  return reinterpret_cast<Function*>(::dlsym(library, name.c_str()));
}

}  // namespace

LlvmDisassembler::LlvmDisassembler(Machine machine) : library_(::dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL)) {
  why_ = std::string("needs ") + kLibrary + ", which comes with clang 14";
  if (library_ == nullptr) return;
  const Target target = target_of(machine);
  for (const char* part : {"TargetInfo", "TargetMC", "Disassembler"}) {
    auto* initialize = function<Initialize>(library_, std::string("LLVMInitialize") + target.name + part);
    if (initialize == nullptr) return;
    initialize();
  }
  auto* create = function<Create>(library_, "LLVMCreateDisasmCPUFeatures");
  if (create != nullptr) context_ = create(target.triple, "", target.features, nullptr, 0, nullptr, nullptr);
}

// The library stays open: it is large, and others may use it.
LlvmDisassembler::~LlvmDisassembler() {
  if (context_ != nullptr) function<Dispose>(library_, "LLVMDisasmDispose")(context_);
}

LlvmDisassembler::Instruction LlvmDisassembler::one(std::span<const std::uint8_t> code,
                                                    std::uint64_t address) const {
  static auto* const disassemble = function<Disassemble>(library_, "LLVMDisasmInstruction");
  std::array<std::uint8_t, 8> bytes{};
  const std::size_t size = std::min(code.size(), bytes.size());
  std::copy_n(code.begin(), size, bytes.begin());
  std::array<char, 128> text{};
  Instruction result;
  result.address = address;
  result.length = disassemble(context_, bytes.data(), size, address, text.data(), text.size());
  result.text = text.data();
  std::replace(result.text.begin(), result.text.end(), '\t', ' ');
  result.text.erase(0, result.text.find_first_not_of(' '));
  result.text.erase(result.text.find_last_not_of(' ') + 1);
  return result;
}

std::vector<LlvmDisassembler::Instruction> LlvmDisassembler::all(std::span<const std::uint8_t> code,
                                                                 std::uint64_t address) const {
  std::vector<Instruction> list;
  while (!code.empty()) {
    list.push_back(one(code, address));
    if (list.back().length == 0) break;
    code = code.subspan(list.back().length);
    address += list.back().length;
  }
  return list;
}

std::string LlvmDisassembler::text(std::span<const std::uint8_t> code) const {
  std::string joined;
  for (const Instruction& instruction : all(code)) {
    if (!joined.empty()) joined += "; ";
    joined += instruction.length == 0 ? "(bad)" : instruction.text;
  }
  return joined;
}

}  // namespace calltap::test
