#include "recorder/client.h"

#include "event/event_layout.h"
#include "isa/system.h"
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

}  // namespace

base::Result<void> attach(const ops::FunctionFilter& filter, ops::RecorderAttached attached) {
  const ops::EngineLock lock;
  ct_ops* client = ops::new_client();
  if (client == nullptr) return base::ErrorCode::kOutOfMemory;
  client->is_recorder = true;
  client->entry = write_entry;
  client->exit = write_exit;
  client->wants_exit = true;
  client->data_bytes = sizeof(std::uint64_t);
  client->flags = CT_GENERAL_REGS_ONLY | CT_ALLOW_NO_MATCH;
  if (auto copied = client->filter.copy_from(filter); !copied) return copied;
  ops::set_recorder_observer(attached);
  ops::Failure failure;
  return ops::register_client(*client, failure);
}

}  // namespace calltap::recorder
