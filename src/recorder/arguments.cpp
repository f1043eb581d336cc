#include "recorder/arguments.h"

#include <atomic>
#include <cstring>
#include <iterator>

#include "event/arguments.h"
#include "event/event_layout.h"
#include "isa/system.h"
#include "ops/engine.h"
#include "ops/quiescence.h"
#include "recorder/process.h"
#include "trampoline/regs.h"

extern "C" {
/// <architecture>/float_arguments.S: the registers as they are, of which nothing here makes use.
void ct_read_float_arguments(std::uint64_t* words);
}

namespace calltap::recorder {
namespace {

using base::Result;
using trampoline::kRegisterArguments;

ct_ops* the_client = nullptr;
std::atomic<bool> armed{false};

constexpr unsigned kFloats = 8;
static_assert(kFloats <= trampoline::kVectorArguments);

/// The low 64 bits of each. They are saved where another client's handler may have used them.
void read_floats(ct_regs& regs, std::uint64_t* words) {
  if (trampoline::vector_bytes(regs) == 0) return ct_read_float_arguments(words);
  for (unsigned i = 0; i < kFloats; ++i)
    std::memcpy(&words[i], trampoline::vector_register(regs, i), sizeof words[i]);
}

int on_entry(std::uint64_t /*ip*/, std::uint64_t /*parent_ip*/, trampoline::Client* /*client*/, ct_regs* regs,
             void* /*data*/, const trampoline::OpSet* /*set*/) {
  if (!armed.load(std::memory_order_relaxed)) return 0;
  std::uint64_t words[kRegisterArguments + kFloats];
  for (unsigned i = 0; i < kRegisterArguments; ++i) words[i] = trampoline::integer_argument(*regs, i);
  read_floats(*regs, words + kRegisterArguments);
  const auto function = static_cast<std::uint32_t>(regs->record->event_bits >> 32);
  isa::expect_stack();
  const isa::SignalsBlocked blocked;
  write_event_with_words(event::EventId::kArguments, function,
                         event::arguments_layout(kRegisterArguments, kFloats), words, std::size(words));
  return 0;
}

bool is_present() { return the_client != nullptr && the_client->is_registered(); }

}  // namespace

Result<void> add_arguments(const ops::FunctionFilter& filter, ops::Failure& failure) {
  const ops::EngineLock lock;
  if (the_client == nullptr) {
    the_client = ops::new_client();
    if (the_client == nullptr) return base::ErrorCode::kOutOfMemory;
    constexpr char kName[] = "arguments";
    std::memcpy(the_client->name, kName, sizeof kName);
    the_client->entry = on_entry;
    the_client->exit = nullptr;
    the_client->wants_exit = false;
    the_client->flags = CT_GENERAL_REGS_ONLY | CT_ALLOW_NO_MATCH;
    the_client->data_bytes = 0;
  }
  if (auto idle = ops::check_idle(*the_client, failure); !idle) return idle;
  if (auto copied = the_client->filter.copy_from(filter); !copied) return copied;
  return ops::register_client(*the_client, failure);
}

void arm_arguments() { armed.store(true); }

bool records_arguments() {
  const ops::EngineLock lock;
  return is_present();
}

Result<void> set_arguments_filter(const ops::FunctionFilter& filter, ops::Failure& failure) {
  const ops::EngineLock lock;
  if (!is_present()) return {};
  auto done = ops::set_client_filter(*the_client, filter, failure);
  ops::free_unused_sets();
  return done;
}

Result<void> set_arguments_paused(bool paused, ops::Failure& failure) {
  const ops::EngineLock lock;
  if (!is_present()) return {};
  return paused ? ops::disable_client(*the_client, failure) : ops::enable_client(*the_client, failure);
}

Result<void> remove_arguments(ops::Failure& failure) {
  std::uint64_t generation = 0;
  {
    const ops::EngineLock lock;
    if (!is_present()) return {};
    armed.store(false);
    if (auto begun = ops::begin_unregister(*the_client, failure); !begun) return begun;
    generation = the_client->generation;
  }
  const auto epoch = ops::wait_for_handlers();
  const ops::EngineLock lock;
  if (!epoch) {
    ops::cancel_unregister(*the_client, generation);
    return epoch.error();
  }
  ops::finish_unregister(*the_client, generation, *epoch);
  return {};
}

}  // namespace calltap::recorder
