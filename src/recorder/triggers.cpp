#include "recorder/triggers.h"

#include <atomic>

#include "event/event_layout.h"
#include "isa/system.h"
#include "ops/engine.h"
#include "ops/quiescence.h"
#include "recorder/backtrace.h"
#include "recorder/process.h"
#include "trampoline/frames.h"
#include "trampoline/regs.h"

namespace calltap::recorder {
namespace {

using base::ErrorCode;
using base::Result;

struct Trigger {
  ct_ops* client = nullptr;
  TriggerAction action = TriggerAction::kTraceOn;
  std::atomic<std::uint64_t> left{0};
};
Trigger triggers[kMaxTriggers];
std::size_t trigger_count = 0;
void (*wake_helper)() = nullptr;
std::atomic<std::uint32_t> snapshot_wanted{0};  // words, as RISC-V exchanges them
std::atomic<bool> armed{false};

/// False: it has acted as often as it was to.
bool use_up(Trigger& trigger) {
  std::uint64_t left = trigger.left.load(std::memory_order_relaxed);
  do {
    if (left == kEveryTime) return true;
    if (left == 0) return false;
  } while (!trigger.left.compare_exchange_weak(left, left - 1, std::memory_order_relaxed));
  return true;
}

void act(TriggerAction action) {
  switch (action) {
    case TriggerAction::kTraceOn:
      gate.shut.store(0);
      return;
    case TriggerAction::kTraceOff:
      if (gate.shut.exchange(1) != 0) return;
      look_at_gate(ct_thread);
      break;
    case TriggerAction::kSnapshot:
      snapshot_wanted.store(1);
      break;
    case TriggerAction::kWhile:
      enter_inside(ct_thread);
      return;
    case TriggerAction::kStackTrace:
      return;  // write_stack()
  }
  if (wake_helper != nullptr) wake_helper();
}

/// Counts only what is written. The site's event bits say which function it is.
int write_stack(std::uint64_t ip, std::uint64_t /*parent_ip*/, trampoline::Client* client, ct_regs* regs,
                void* /*data*/, const trampoline::OpSet* /*set*/) {
  auto& trigger = *static_cast<Trigger*>(client->user);
  if (!armed.load(std::memory_order_relaxed) || trigger.left.load(std::memory_order_relaxed) == 0) return 0;
  isa::expect_stack();
  const isa::SignalsBlocked blocked;
  const std::uint32_t writer = open_writer();
  if (writer == kNoWriter || !use_up(trigger)) return 0;
  const Backtrace backtrace = take_backtrace(writer, ip);
  const event::StackLayout layout =
      backtrace.is_complete ? event::StackLayout::kComplete : event::StackLayout::kCutOff;
  write_event_with_words(event::EventId::kStack, static_cast<std::uint32_t>(regs->record->event_bits >> 32),
                         static_cast<std::uint32_t>(layout), backtrace.frames.data(),
                         static_cast<std::uint32_t>(backtrace.frames.size()));
  return 0;
}

int on_entry(std::uint64_t /*ip*/, std::uint64_t /*parent_ip*/, trampoline::Client* client, ct_regs* /*regs*/,
             void* /*data*/, const trampoline::OpSet* /*set*/) {
  auto& trigger = *static_cast<Trigger*>(client->user);
  const bool acts = trigger.action == TriggerAction::kWhile || armed.load(std::memory_order_relaxed);
  if (!acts || !use_up(trigger)) return 0;
  isa::expect_stack();
  const isa::SignalsBlocked blocked;
  act(trigger.action);
  return 0;
}

/// Of kWhile alone, which has no count.
void on_exit(std::uint64_t /*ip*/, std::uint64_t /*parent_ip*/, trampoline::Client* /*client*/,
             ct_regs* /*regs*/, void* /*data*/) {
  isa::expect_stack();
  const isa::SignalsBlocked blocked;
  leave_inside(ct_thread);
}

}  // namespace

std::string_view name(TriggerAction action) {
  constexpr std::string_view kNames[] = {"traceon", "traceoff", "snapshot", "while", "stacktrace"};
  return kNames[static_cast<std::size_t>(action)];
}

Result<void> add_trigger(TriggerAction action, std::string_view glob, std::uint64_t count,
                         ops::Failure& failure) {
  if (trigger_count == kMaxTriggers) {
    failure.reason = "a recording can have 16 triggers";
    return ErrorCode::kInvalidArgument;
  }
  const bool is_stack = action == TriggerAction::kStackTrace;
  const ops::EngineLock lock;
  if (is_stack) {
    if (auto prepared = prepare_backtraces(buffer::kMaxThreads, failure); !prepared) return prepared;
  }
  ops::FunctionFilter filter;
  if (auto added = filter.add_pattern(glob, false); !added) return added;
  Trigger& trigger = triggers[trigger_count];
  trigger.client = ops::new_client();
  if (trigger.client == nullptr) return ErrorCode::kOutOfMemory;
  trigger.action = action;
  trigger.left.store(count);
  ct_ops& client = *trigger.client;
  client.entry = is_stack ? write_stack : on_entry;
  client.exit = action == TriggerAction::kWhile ? on_exit : nullptr;
  client.wants_exit = client.exit != nullptr;
  client.user = &trigger;
  // The loader's table of modules is looked at with vector registers.
  client.flags = (is_stack ? 0 : CT_GENERAL_REGS_ONLY) | CT_ALLOW_NO_MATCH;
  client.data_bytes = 0;
  const std::string_view word = name(action);
  word.copy(client.name, sizeof client.name - 1);
  client.name[word.size()] = '\0';
  auto done = client.filter.copy_from(filter);
  if (done) done = ops::register_client(client, failure);
  if (!done) {
    ops::free_client(client);
    return done;
  }
  ++trigger_count;
  if (action == TriggerAction::kWhile) gate.only_inside.store(true);
  return {};
}

void arm_triggers() { armed.store(true); }

Result<void> remove_triggers(ops::Failure& failure) {
  armed.store(false);
  Result<void> done;
  while (trigger_count != 0 && done) {
    ct_ops& client = *triggers[trigger_count - 1].client;
    std::uint64_t generation = 0;
    {
      const ops::EngineLock lock;
      done = ops::begin_unregister(client, failure);
      generation = client.generation;
    }
    if (!done) break;
    const auto epoch = ops::wait_for_handlers();
    const ops::EngineLock lock;
    if (!epoch) {
      ops::cancel_unregister(client, generation);
      done = epoch.error();
      break;
    }
    ops::finish_unregister(client, generation, *epoch);
    ops::free_client(client);
    --trigger_count;
  }
  if (trigger_count == 0) release_backtraces();
  gate.shut.store(0);
  gate.only_inside.store(false);
  return done;
}

void set_helper(void (*wake)()) { wake_helper = wake; }

bool take_snapshot_request() { return snapshot_wanted.exchange(0) != 0; }

}  // namespace calltap::recorder
