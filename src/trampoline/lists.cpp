// Several clients of one function: their handlers, one after the other. Part of the code of which there may
// be two copies (trampoline/code.h), so what is in neither is found through the copy's imports.
#include "isa/native.h"
#include "trampoline/code.h"
#include "trampoline/guards.h"

using namespace calltap;
using namespace calltap::trampoline;

namespace {

ThreadState& this_thread() {
  return *reinterpret_cast<ThreadState*>(isa::native::thread_pointer() + ct_imports.thread);
}

CallFrame& frame_of(void* data) {
  return *reinterpret_cast<CallFrame*>(static_cast<char*>(data) - CT_FRAME_DATA);
}

/// One more claimed frame of which only the part for an exit handler is used. Null: the call counts as
/// missed.
CallFrame* claim_block(ThreadState& thread, const Client& client) {
  CallFrame* block = thread.free;
  if (!isa::native::increment_is_zero(block->owner)) return ct_imports.block_slow(block, &client);
  thread.free = block->next;
  return block;
}

/// The same steps as FREE_FRAME's, for which signals need not be blocked; `block` is in no chain any more.
void release_block(ThreadState& thread, CallFrame& block) {
  block.blocks = nullptr;
  block.client = nullptr;
  __atomic_store_n(&block.owner, CallFrame::kFree, __ATOMIC_RELEASE);
  if (block.home != thread.home) return;
  if (block.next != thread.free) block.next = thread.free;
  __atomic_store_n(&thread.free, &block, __ATOMIC_RELEASE);
}

/// Takes the frame's newest block out of its chain. A signal handler in between sees it either there or
/// claimed.
void release_newest_block(ThreadState& thread, CallFrame& frame) {
  CallFrame* block = frame.blocks;
  __atomic_store_n(&frame.blocks, block->blocks, __ATOMIC_RELEASE);
  release_block(thread, *block);
}

int call_entry(std::uint64_t ip, std::uint64_t parent_ip, Client& client, ct_regs& regs, void* data) {
  const auto* handler = reinterpret_cast<const void*>(client.entry);
  if ((client.flags & CT_IPMODIFY) == 0) [[likely]]
    return ct_call_handler(ip, parent_ip, &client, &regs, data, handler);
  regs.flags |= CT_REGS_MAY_SET_IP;
  const int result = ct_call_handler(ip, parent_ip, &client, &regs, data, handler);
  regs.flags &= ~static_cast<std::uint32_t>(CT_REGS_MAY_SET_IP);
  return result;
}

/// One client of a list that wants its exit.
void run_probe_entry(std::uint64_t ip, std::uint64_t parent_ip, const OpSet::Member& member, ct_regs* regs,
                     CallFrame& frame) {
  ThreadState& thread = this_thread();
  Client* client = member.client;
  CallFrame* block = claim_block(thread, *client);
  if (block == nullptr) return;
  count_hit(*thread.guard, *client);
  if (client->data_bytes != 0) {
    for (std::uint64_t& word : block->data) word = 0;
  }
  // In the chain already, so that it is freed if the handler ends the thread.
  block->client = nullptr;
  block->blocks = frame.blocks;
  frame.blocks = block;
  if (client->entry != nullptr && call_entry(ip, parent_ip, *client, *regs, block->data) != 0) {
    release_newest_block(thread, frame);
    return;
  }
  block->generation = member.generation;
  block->client = client;
}

}  // namespace

/// Entry handlers in the order of registration. Each that wants its exit gets a block of its own, in front of
/// the chain. Not 0: nobody wants the exit.
int ct_list_entries(std::uint64_t ip, std::uint64_t parent_ip, Client* /*list*/, ct_regs* regs, void* data,
                    const OpSet* set) {
  Guard& guard = *this_thread().guard;
  for (const OpSet::Member* member = set->members(); member != set->members() + set->count; ++member) {
    Client* client = member->client;
    if (client->wants_exit) {
      run_probe_entry(ip, parent_ip, *member, regs, frame_of(data));
    } else {
      count_hit(guard, *client);
      call_entry(ip, parent_ip, *client, *regs, nullptr);
    }
  }
  return data == nullptr || frame_of(data).blocks == nullptr ? 1 : 0;
}

/// Exit handlers run in the reverse order of the entry handlers: the newest block is the first of the chain.
void ct_list_exits(std::uint64_t ip, std::uint64_t parent_ip, Client* list, ct_regs* regs, void* data) {
  CallFrame& frame = frame_of(data);
  frame.client = list;  // if one leaves, the others still have their turn
  for (CallFrame* block = frame.blocks; block != nullptr; block = block->blocks) {
    auto* client = const_cast<Client*>(block->client);
    block->client = nullptr;  // it does not run again, also if it ends the thread
    if (client == nullptr || client->generation != block->generation) continue;
    ct_call_handler(ip, parent_ip, client, regs, block->data, reinterpret_cast<const void*>(client->exit));
  }
}

/// Called by the probes' trampolines when the exit handlers have run.
void ct_free_blocks(CallFrame* frame) {
  while (frame->blocks != nullptr) release_newest_block(this_thread(), *frame);
}
