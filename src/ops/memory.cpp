#include "ops/memory.h"

#include <bit>
#include <cstdint>
#include <cstring>

#include "isa/system.h"

namespace calltap::ops {
namespace {

// Free lists of blocks whose sizes are powers of two, cut from mappings that are never given back: a program
// that attaches and detaches for ever uses the same ones for ever.
constexpr std::size_t kSmallest = 64;
constexpr std::size_t kClasses = 15;  // up to 1 MiB
constexpr std::size_t kMapping = std::size_t{64} << 10;

struct FreeBlock {
  FreeBlock* next;
};
FreeBlock* free_blocks[kClasses] = {};

std::size_t class_of(std::size_t bytes) {
  const std::size_t size = std::bit_ceil(bytes < kSmallest ? kSmallest : bytes);
  return static_cast<std::size_t>(std::countr_zero(size / kSmallest));
}

}  // namespace

void* allocate(std::size_t bytes) {
  const std::size_t index = class_of(bytes);
  if (index >= kClasses) return nullptr;
  const std::size_t size = kSmallest << index;
  FreeBlock*& list = free_blocks[index];
  if (list == nullptr) {
    const std::size_t mapped = size < kMapping ? kMapping : size;
    auto* memory = static_cast<std::uint8_t*>(isa::map_memory(mapped));
    if (memory == nullptr) return nullptr;
    for (std::size_t at = 0; at + size <= mapped; at += size) release(memory + at, size);
  }
  FreeBlock* block = list;
  list = block->next;
  std::memset(static_cast<void*>(block), 0, size);
  return block;
}

void release(void* memory, std::size_t bytes) {
  auto* block = static_cast<FreeBlock*>(memory);
  FreeBlock*& list = free_blocks[class_of(bytes)];
  block->next = list;
  list = block;
}

}  // namespace calltap::ops
