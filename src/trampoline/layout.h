// Offsets of the structures that trampolines and C++ share. Included by .S files: macros only, on purpose.
// trampoline/state.h asserts that they match.
#pragma once

// CallFrame: one hooked call in flight
#define CT_FRAME_RET 0
#define CT_FRAME_SAVED 8
#define CT_FRAME_OWNER 16
#define CT_FRAME_FLAGS 20
#define CT_FRAME_SP 24
#define CT_FRAME_PARENT 32
#define CT_FRAME_AGE 40
#define CT_FRAME_HOME 48
#define CT_FRAME_SLOT 52
#define CT_FRAME_EVENT 56
// The second cache line is for probes: what is to run when the call ends.
#define CT_FRAME_BLOCKS 64
#define CT_FRAME_CLIENT 72
#define CT_FRAME_GENERATION 80
#define CT_FRAME_DATA 88
#define CT_FRAME_DATA_BYTES 32
#define CT_FRAME_NEXT 120
#define CT_FRAME_BYTES 128

// CallFrame::flags. A free frame has the last two set, so that a claimed one has them until its entry event
// is written.
#define CT_FLAG_REPORTED 1
#define CT_FLAG_ENTERING 2
#define CT_FLAG_WRITING 4
#define CT_FLAGS_FREE (CT_FLAG_ENTERING | CT_FLAG_WRITING)
#define CT_FLAG_PROBE 8
#define CT_FLAG_TAIL 16

// ThreadState: in the thread's static TLS block
#define CT_THREAD_GUARD 0
#define CT_THREAD_FREE 8
#define CT_THREAD_TOP 16
#define CT_THREAD_WRITER 24
#define CT_THREAD_HOME 32
#define CT_THREAD_SEQUENCE 40

// Writer: the thread's place in its packet; zero-filled in a child after fork
#define CT_WRITER_CURSOR 0
#define CT_WRITER_LAST 8

// SiteRecord: what a stub hands to its trampoline
#define CT_RECORD_HANDLER 0
#define CT_RECORD_TARGET 8
#define CT_RECORD_SET 16
#define CT_RECORD_ENTRY 24
#define CT_RECORD_EVENT 32
#define CT_RECORD_LANDING_PAD 43  // in the low four bits
#define CT_RECORD_SLOT 46         // sites that call: of a direct call
#define CT_RECORD_BYTES 48

// Guard: which handlers a thread is running
#define CT_GUARD_WORD 0
#define CT_GUARD_COUNTERS 64  // of all clients, behind the guard
#define CT_GUARD_EPOCH_SHIFT 48

// OpSet: the clients of a site
#define CT_SET_HANDLER 0
#define CT_SET_ENTRY 8
#define CT_SET_CALLED 16
#define CT_SET_CLIENT 24
#define CT_SET_HITS 32
#define CT_SET_GENERATION 40
#define CT_SET_DATA 48

// Client: what exits look at, and ct_may_set_ip
#define CT_CLIENT_GENERATION 0
#define CT_CLIENT_EXIT 8
#define CT_CLIENT_ENTRY 16

// ct_regs::flags
#define CT_REGS_OVERRIDE 1         // entry: do not run the function
#define CT_REGS_OVERRIDE_VECTOR 2  // and return CT_REGS_TARGET in the first vector register
#define CT_REGS_SET_IP 4           // entry: go on at CT_REGS_TARGET
#define CT_REGS_UNWOUND 8          // exit: the call did not return
#define CT_REGS_EXIT 16            // an exit handler's
#define CT_REGS_NESTED 32          // the guard's former state is in the registers' structure
#define CT_REGS_HAS_FRAME 64       // the call has a call frame
#define CT_REGS_HAS_PARENT 128     // the structure has the address that the call returns to
#define CT_REGS_MAY_SET_IP 256     // entry: the handler that runs is of a client with CT_IPMODIFY

// Direct calls: a piece of code and two words of a table each
#define CT_DIRECT_SLOTS 8192
#define CT_DIRECT_TABLE_BYTES 16

// Imports: what the trampolines' code needs of the runtime
#define CT_IMPORT_THREAD 0
#define CT_IMPORT_EPOCH 8
#define CT_IMPORT_FRAME_SLOW 16
#define CT_IMPORT_STACK_SLOW 24
#define CT_IMPORT_EXIT_SLOW 32
#define CT_IMPORT_EVENT_SLOW 40
#define CT_IMPORT_ENTRY_SLOW 48
#define CT_IMPORT_EXIT_ENTER_SLOW 56
#define CT_IMPORT_PARENT_SLOW 64
#define CT_IMPORT_TAIL_CALL 72
#define CT_IMPORT_NO_FRAME 80
#define CT_IMPORT_HANDLER_THREW 88
#define CT_IMPORT_BLOCK_SLOW 96
#define CT_IMPORT_VECTOR_FEATURES 104
#define CT_IMPORT_BYTES 112
