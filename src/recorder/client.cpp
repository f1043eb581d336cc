#include "recorder/client.h"

#include "event/event_layout.h"
#include "isa/system.h"
#include "ops/left_out.h"
#include "ops/quiescence.h"
#include "recorder/backtrace.h"
#include "trampoline/frames.h"
#include "trampoline/regs.h"

namespace calltap::recorder {
namespace {

/// Beside other clients on a site the recorder is one of a list. The site's event bits say which function it
/// is.
int write_entry(std::uint64_t /*ip*/, std::uint64_t /*parent_ip*/, trampoline::Client* /*client*/,
                ct_regs* regs, void* data, const trampoline::OpSet* /*set*/) {
  const std::uint64_t bits = regs->record->event_bits;
  *static_cast<std::uint64_t*>(data) = bits;
  isa::expect_stack();
  const isa::SignalsBlocked blocked;
  trampoline::ct_event_write(bits);
  return 0;
}

void write_exit(std::uint64_t /*ip*/, std::uint64_t /*parent_ip*/, trampoline::Client* /*client*/,
                ct_regs* regs, void* data) {
  const bool unwound = (regs->flags & CT_REGS_UNWOUND) != 0;
  const auto id = static_cast<std::uint64_t>(unwound ? event::EventId::kUnwound : event::EventId::kExit);
  const std::uint64_t function = *static_cast<const std::uint64_t*>(data) & ~std::uint64_t{0xffffffff};
  isa::expect_stack();
  const isa::SignalsBlocked blocked;
  trampoline::ct_event_write(function | id);
}

ct_ops* the_client = nullptr;  // once made, it is kept

/// The client as it was made, or null. Under the engine's lock.
ct_ops* client() {
  if (the_client != nullptr) return the_client;
  ct_ops* made = ops::new_client();
  if (made == nullptr) return nullptr;
  made->is_recorder = true;
  made->entry = write_entry;
  made->exit = write_exit;
  made->wants_exit = true;
  made->data_bytes = sizeof(std::uint64_t);
  made->flags = CT_GENERAL_REGS_ONLY | CT_ALLOW_NO_MATCH;
  the_client = made;
  return made;
}

/// Runs `operation(client)` under the engine's lock, if the client is registered.
template <class Operation>
base::Result<void> on_registered(Operation operation) {
  const ops::EngineLock lock;
  if (the_client == nullptr || !the_client->is_registered()) return base::ErrorCode::kNotRegistered;
  ops::trust_loaded_code();
  auto done = operation(*the_client);
  ops::free_unused_sets();
  return done;
}

base::Result<void> wait_for_handlers() {
  auto epoch = ops::wait_for_handlers();
  return epoch ? base::Result<void>() : epoch.error();
}

}  // namespace

base::Result<void> attach(const ops::FunctionFilter& filter, ops::RecorderAttached attached,
                          ops::Failure& failure) {
  const ops::EngineLock lock;
  ct_ops* recorder = client();
  if (recorder == nullptr) return base::ErrorCode::kOutOfMemory;
  if (auto idle = ops::check_idle(*recorder, failure); !idle) return idle;
  if (auto copied = recorder->filter.copy_from(filter); !copied) return copied;
  recorder->left_out = {};
  ops::trust_loaded_code();
  ops::set_recorder_observer(attached, has_backtraces() ? ops::Observed::kAll : ops::Observed::kWithSites);
  return ops::register_client(*recorder, failure);
}

base::Result<void> detach(ops::Failure& failure) {
  std::uint64_t generation = 0;
  {
    const ops::EngineLock lock;
    if (the_client == nullptr || !the_client->is_registered()) return {};
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

base::Result<void> set_filter(const ops::FunctionFilter& filter, ops::Failure& failure) {
  return on_registered([&](ct_ops& recorder) { return ops::set_client_filter(recorder, filter, failure); });
}

base::Result<LeavingOut> leave_out(std::span<const std::uint32_t> functions, ops::Failure& failure) {
  LeavingOut when;
  auto done = on_registered([&](ct_ops& recorder) {
    when.begun = isa::native::read_clock();
    auto left = ops::leave_out(recorder, functions, failure);
    when.done = isa::native::read_clock();
    return left;
  });
  if (!done) return done.error();
  return when;
}

base::Result<void> set_paused(bool paused, ops::Failure& failure) {
  auto done = on_registered([&](ct_ops& recorder) {
    return paused ? ops::disable_client(recorder, failure) : ops::enable_client(recorder, failure);
  });
  return done && paused ? wait_for_handlers() : done;
}

ClientStatus status() {
  const ops::EngineLock lock;
  if (the_client == nullptr || !the_client->is_registered()) return ClientStatus::kDetached;
  return the_client->state == ops::ClientState::kDisabled ? ClientStatus::kPaused : ClientStatus::kAttached;
}

}  // namespace calltap::recorder
