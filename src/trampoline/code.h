// The trampolines' code may lie in the process twice: in this library, and, in a small library that holds
// nothing else, near the program, where its jumps to and from the program's functions cost less
// (docs/architecture.md). This is what each copy offers, and what it needs.
#pragma once

#include <cstddef>
#include <cstdint>

#include "trampoline/handlers.h"
#include "trampoline/regs.h"
#include "trampoline/state.h"

namespace calltap::trampoline {

/// What a copy of the code needs of the runtime.
struct Imports {
  std::uint64_t thread;  // where ct_thread lies, from the thread pointer
  const void* epoch;     // the address of ct_epoch; the rest are functions
  const void* frame_slow;
  const void* stack_slow;
  const void* exit_slow;
  const void* event_slow;
  const void* entry_slow;
  const void* exit_enter_slow;
  const void* parent_slow;
  const void* tail_call;
  const void* no_frame;
  const void* handler_threw;
  CallFrame* (*block_slow)(CallFrame* failed, const Client* client);
  std::uint32_t vector_features;
  std::uint32_t reserved;
};
static_assert(offsetof(Imports, thread) == CT_IMPORT_THREAD);
static_assert(offsetof(Imports, epoch) == CT_IMPORT_EPOCH);
static_assert(offsetof(Imports, frame_slow) == CT_IMPORT_FRAME_SLOW);
static_assert(offsetof(Imports, stack_slow) == CT_IMPORT_STACK_SLOW);
static_assert(offsetof(Imports, exit_slow) == CT_IMPORT_EXIT_SLOW);
static_assert(offsetof(Imports, event_slow) == CT_IMPORT_EVENT_SLOW);
static_assert(offsetof(Imports, entry_slow) == CT_IMPORT_ENTRY_SLOW);
static_assert(offsetof(Imports, exit_enter_slow) == CT_IMPORT_EXIT_ENTER_SLOW);
static_assert(offsetof(Imports, parent_slow) == CT_IMPORT_PARENT_SLOW);
static_assert(offsetof(Imports, tail_call) == CT_IMPORT_TAIL_CALL);
static_assert(offsetof(Imports, no_frame) == CT_IMPORT_NO_FRAME);
static_assert(offsetof(Imports, handler_threw) == CT_IMPORT_HANDLER_THREW);
static_assert(offsetof(Imports, block_slow) == CT_IMPORT_BLOCK_SLOW);
static_assert(offsetof(Imports, vector_features) == CT_IMPORT_VECTOR_FEATURES);

/// Of a direct call's slot, two words: the client's trampoline, and where to go on.
struct DirectSlot {
  const void* direct;
  std::uint64_t body;
};
static_assert(sizeof(DirectSlot) == CT_DIRECT_TABLE_BYTES);

struct CodeRange {
  const char* begin;
  const char* end;
};

/// Where trampolines call handlers, and where they go on when one has thrown.
struct HandlerCall {
  const char* returns_to;
  const char* threw;
  enum Kind : std::uint64_t { kEntry, kExit, kUnwoundExit, kOfList } kind;
};

using CallHandler = int (*)(std::uint64_t ip, std::uint64_t parent_ip, Client* client, ct_regs* regs,
                            void* data, const void* handler);

/// What a copy of the code offers.
struct Code {
  char identity[16];         // of the source files: copies with another one do not fit together
  CodeRange calling_around;  // what lies here as a return address is a return point
  const char* return_points[4];
  CodeRange with_frame[8];  // where the register that points to the call frame does so
  HandlerCall handler_calls[14];
  // As SiteRecord::handler
  const char* recorder;
  const char* bare_hook;
  const char* entry;
  const char* entry_vectors;
  const char* probe;
  const char* probe_vectors;
  const char* pass;          // what a site without clients runs while it is still, or not yet, switched
  const char* direct_slots;  // CT_DIRECT_SLOTS of CT_DIRECT_SLOT_BYTES
  const char* direct_none;   // what a slot without a client calls
  DirectSlot* direct_table;  // one a slot
  CallHandler call_handler;
  ExitHandler call_exit_handler;
  EntryHandler list_entries;  // list_client's handlers
  ExitHandler list_exits;
  EntryHandler may_set_ip;  // in place of the entry handler of a client with CT_IPMODIFY
  // The same for sites with CALL_OPS, which call their stub: null where there are none (call_ops.S).
  struct Called {
    const char* recorder;
    const char* bare_hook;
    const char* entry;
    const char* entry_vectors;
    const char* probe;
    const char* probe_vectors;
    const char* pass;
    const char* target;       // goes on at SiteRecord::target
    const char* entry_alone;  // goes on into the body, whatever the target is
    const char* entry_vectors_alone;
    // As SiteRecord::target
    const char* body;
    const char* direct;
  } called;
  Imports* imports;
  const void** personality;
};

/// The copy in use. Does not change once anything is patched.
const Code& code();

/// Makes another copy the one in use, and gives it what it needs. False if it is not made from the same
/// source files, and nothing changes. Before anything is patched; one thread.
bool use_code(const Code& copy);

}  // namespace calltap::trampoline

extern "C" {
/// The copy in the library that this is compiled into.
extern const calltap::trampoline::Code ct_code;
}

// Within a copy. Everybody else goes through code().
#pragma GCC visibility push(hidden)
extern "C" {
extern calltap::trampoline::Imports ct_imports;
int ct_call_handler(std::uint64_t ip, std::uint64_t parent_ip, calltap::trampoline::Client* client,
                    ct_regs* regs, void* data, const void* handler);
int ct_list_entries(std::uint64_t ip, std::uint64_t parent_ip, calltap::trampoline::Client* list,
                    ct_regs* regs, void* data, const calltap::trampoline::OpSet* set);
void ct_list_exits(std::uint64_t ip, std::uint64_t parent_ip, calltap::trampoline::Client* list,
                   ct_regs* regs, void* data);
int ct_may_set_ip(std::uint64_t ip, std::uint64_t parent_ip, calltap::trampoline::Client* client,
                  ct_regs* regs, void* data, const calltap::trampoline::OpSet* set);
void ct_free_blocks(calltap::trampoline::CallFrame* frame);
}
#pragma GCC visibility pop
