// What a hooked call works with: its site's record, its call frame, its thread's state.
#pragma once

#include <cstddef>
#include <cstdint>

#include "trampoline/layout.h"

namespace calltap::trampoline {

struct ThreadState;
struct OpSet;
struct Client;
struct Guard;

/// One patched site. Made with its stub, never moved, freed only when its module is gone. The stub jumps
/// through `handler` with the record's address in the scratch register, so that a change of clients is one
/// 8-byte store.
///
/// `handler` is a trampoline, a direct call's slot, or a redirect's function. Trampolines read `set` once,
/// and pass the call on if the set they find wants another trampoline; so whoever stores first the set and
/// then the handler switches from the old clients to the new ones in one step, whatever they are
/// (docs/ops.md).
struct SiteRecord {
  const void* handler = nullptr;
  std::uint64_t target = 0;  // where trampolines go on: the body, a direct call's slot, a redirect's function
  const OpSet* set = nullptr;    // null: no clients
  std::uint64_t entry = 0;       // address of the function: what a pointer to it holds
  std::uint64_t event_bits = 0;  // function << 32 | EventId::kEntry
  std::uint8_t off_byte = 0;     // x86-64: of the toggled byte, which is the unit's first
  std::uint8_t on_byte = 0;
  std::uint8_t body_offset = 0;            // bytes from the unit to the body
  std::uint8_t landing_pad_bytes : 4 = 0;  // from the entry to the unit
  std::uint8_t method : 3 = 0;             // plan::Method
  std::uint8_t is_on : 1 = 0;
  struct Word {
    std::uint8_t offset;  // from the unit
    std::uint8_t bytes;   // 2 or 4
    std::uint16_t slot;   // of the direct call, where the method is kCall
  };
  union {
    std::uint32_t tail = 0;  // x86-64, trap protocol: the original bytes behind the first
    Word word;               // AArch64 and RISC-V: what is toggled, instead of a byte
  };

  [[nodiscard]] std::uint64_t unit() const { return entry + landing_pad_bytes; }
  [[nodiscard]] std::uint64_t body() const { return unit() + body_offset; }
};
static_assert(sizeof(SiteRecord) == CT_RECORD_BYTES);
static_assert(offsetof(SiteRecord, handler) == CT_RECORD_HANDLER);
static_assert(offsetof(SiteRecord, target) == CT_RECORD_TARGET);
static_assert(offsetof(SiteRecord, set) == CT_RECORD_SET);
static_assert(offsetof(SiteRecord, event_bits) == CT_RECORD_EVENT);
static_assert(offsetof(SiteRecord, entry) == CT_RECORD_ENTRY);
static_assert(offsetof(SiteRecord, body_offset) + 1 == CT_RECORD_LANDING_PAD);
static_assert(offsetof(SiteRecord, word) + offsetof(SiteRecord::Word, slot) == CT_RECORD_SLOT);

/// A hooked call in flight. It is claimed by incrementing `owner` from kFree (one instruction, so a signal
/// handler can never be given the same frame), and holds the caller's return address and one callee-saved
/// register until the body returns. The stack slot at `sp - 8` holds the trampoline's return point for
/// exactly as long as the frame is alive: that is what tells a frame that a longjmp left behind from one that
/// is merely asleep on another stack.
///
/// `event` is the last event written for the call, or the one that was about to be when a signal came: then
/// the word at `slot` tells which. See event_state() in frames.cpp.
struct alignas(CT_FRAME_BYTES) CallFrame {
  static constexpr std::int32_t kFree = -1;
  static constexpr std::uint64_t kNoStack = ~std::uint64_t{0};
  static constexpr std::uint32_t kReported = CT_FLAG_REPORTED;  // its exit or unwound event was written
  static constexpr std::uint32_t kEntering = CT_FLAG_ENTERING;  // its entry event may not be written yet
  static constexpr std::uint32_t kWriting = CT_FLAG_WRITING;    // an event is about to be tried at `slot`
  static constexpr std::uint32_t kFreeFlags = CT_FLAGS_FREE;
  static constexpr std::uint32_t kProbe = CT_FLAG_PROBE;  // has exit handlers instead of events
  static constexpr std::uint32_t kTail = CT_FLAG_TAIL;    // with kProbe: tail-called, `slot` says how often

  std::uint64_t return_address = 0;
  std::uint64_t saved = 0;
  std::int32_t owner = kFree;
  std::uint32_t flags = kFreeFlags;
  std::uint64_t sp =
      kNoStack;  // stack pointer once the return address is popped; kNoStack while free or half claimed
  CallFrame* parent = nullptr;  // a hint: the thread's newest frame when this one was made
  std::uint64_t age = 0;        // while claimed: the thread's sequence number at entry
  std::uint32_t home = 0;       // serial of the thread whose free list it belongs to
  std::uint32_t slot = 0;       // low half of the address where `event` was, or was about to be, written
  union {
    std::uint64_t event = 0;  // 0: the call writes no events
    std::uint64_t ip;         // with kProbe: the function
  };
  // Exit handlers. A free frame has neither blocks nor a client.
  CallFrame* blocks = nullptr;  // further claimed frames of which only this part is used, one an exit handler
  const Client* client = nullptr;  // null: no exit handler
  std::uint64_t generation = 0;    // of the client at entry: another one now means that it is gone
  std::uint64_t data[CT_FRAME_DATA_BYTES / 8] = {};
  CallFrame* next = nullptr;  // while free; kept while claimed, for it is mostly the same again
};
static_assert(sizeof(CallFrame) == CT_FRAME_BYTES);
static_assert(offsetof(CallFrame, return_address) == CT_FRAME_RET);
static_assert(offsetof(CallFrame, saved) == CT_FRAME_SAVED);
static_assert(offsetof(CallFrame, owner) == CT_FRAME_OWNER);
static_assert(offsetof(CallFrame, flags) == CT_FRAME_FLAGS);
static_assert(offsetof(CallFrame, sp) == CT_FRAME_SP);
static_assert(offsetof(CallFrame, parent) == CT_FRAME_PARENT);
static_assert(offsetof(CallFrame, age) == CT_FRAME_AGE && offsetof(CallFrame, next) == CT_FRAME_NEXT);
static_assert(offsetof(CallFrame, home) == CT_FRAME_HOME);
static_assert(offsetof(CallFrame, slot) == CT_FRAME_SLOT);
static_assert(offsetof(CallFrame, event) == CT_FRAME_EVENT && offsetof(CallFrame, ip) == CT_FRAME_EVENT);
static_assert(offsetof(CallFrame, blocks) == CT_FRAME_BLOCKS);
static_assert(offsetof(CallFrame, client) == CT_FRAME_CLIENT);
static_assert(offsetof(CallFrame, generation) == CT_FRAME_GENERATION);
static_assert(offsetof(CallFrame, data) == CT_FRAME_DATA);

/// Where a thread writes its next event. Lives on a page that the kernel zeroes in a forked child, so that a
/// child that nobody told finds `cursor == nullptr` and never touches its parent's packets.
struct Writer {
  std::uint64_t* cursor;    // next slot; the word behind the last slot is never zero
  std::uint64_t last_time;  // not after the newest event's time
  // The rest is for the slow path (recorder/).
  std::uint64_t* sentinel;  // the word behind the packet's last slot
  std::uint32_t slot;       // index of the thread's slot in the shared memory
  std::uint32_t packet;     // index of the current packet
  std::uint32_t has_packet;
  std::uint32_t free_seen;  // the pool's free_sequence when it was last found empty
  std::uint32_t aside;      // packets set aside: index + 1 of the first, each names the next; 0 = none
  std::uint32_t owner;      // ThreadState::home of the thread that has it, for as long as it lives; 0 = none
  std::uint32_t inside;     // calls in flight of functions that are recorded with what they call (triggers)
  std::uint32_t is_shut;    // `cursor` is no place in a packet, though there may be one: see recorder.cpp
};
static_assert(offsetof(Writer, cursor) == CT_WRITER_CURSOR);
static_assert(offsetof(Writer, last_time) == CT_WRITER_LAST);

/// Per thread, in static TLS (initial-exec), usable from the first instruction of a new thread.
struct ThreadState {
  Guard* guard;     // never null
  CallFrame* free;  // a hint: claiming may fail, then the slow path looks properly
  CallFrame* top;   // a hint: the newest frame
  Writer* writer;
  std::uint32_t home;      // serial of this thread, never reused
  std::uint64_t sequence;  // calls hooked so far
  // The rest is for the slow path.
  struct FrameChunk* chunks;
  CallFrame* unwound;       // passed by an exception: kept until the unwinder is certainly done with it
  std::uint64_t stack_low;  // bounds of the thread's own stack, 0 until needed
  std::uint64_t stack_high;
};
static_assert(offsetof(ThreadState, free) == CT_THREAD_FREE);
static_assert(offsetof(ThreadState, top) == CT_THREAD_TOP);
static_assert(offsetof(ThreadState, writer) == CT_THREAD_WRITER);
static_assert(offsetof(ThreadState, home) == CT_THREAD_HOME);
static_assert(offsetof(ThreadState, sequence) == CT_THREAD_SEQUENCE);
static_assert(offsetof(ThreadState, guard) == CT_THREAD_GUARD);

}  // namespace calltap::trampoline

extern "C" {
/// The calling thread's state.
extern thread_local constinit calltap::trampoline::ThreadState ct_thread
    __attribute__((tls_model("initial-exec")));
}
