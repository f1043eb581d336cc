#include "trampoline/code.h"

#include "isa/native.h"

namespace calltap::trampoline {
namespace {

const Code* copy_in_use = &ct_code;

}  // namespace

Client list_client = {.generation = 0,
                      .exit = ct_list_exits,
                      .entry = ct_list_entries,
                      .index = kListIndex,
                      .user = nullptr,
                      .flags = 0,
                      .data_bytes = 0,
                      .wants_exit = false};

const Code& code() {
  // Nobody can hook anything without having been here.
  std::uint64_t& thread = ct_code.imports->thread;
  if (thread == 0) {
    const std::uint64_t offset = reinterpret_cast<std::uint64_t>(&ct_thread) - isa::native::thread_pointer();
    __atomic_store_n(&thread, offset, __ATOMIC_RELAXED);
  }
  return *copy_in_use;
}

bool use_code(const Code& copy) {
  if (__builtin_memcmp(copy.identity, ct_code.identity, sizeof copy.identity) != 0) return false;
  *copy.imports = *code().imports;
  *copy.personality = *copy_in_use->personality;
  list_client.entry = copy.list_entries;
  list_client.exit = copy.list_exits;
  copy_in_use = &copy;
  return true;
}

}  // namespace calltap::trampoline
