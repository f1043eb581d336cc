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
#define CT_FRAME_NEXT 40
#define CT_FRAME_AGE 40
#define CT_FRAME_HOME 48
#define CT_FRAME_SLOT 52
#define CT_FRAME_EVENT 56
#define CT_FRAME_BYTES 64

// CallFrame::flags. A free frame has the last two set, so that a claimed one has them until its entry event
// is written.
#define CT_FLAG_REPORTED 1
#define CT_FLAG_ENTERING 2
#define CT_FLAG_WRITING 4
#define CT_FLAGS_FREE (CT_FLAG_ENTERING | CT_FLAG_WRITING)

// ThreadState: in the thread's static TLS block
#define CT_THREAD_FREE 0
#define CT_THREAD_TOP 8
#define CT_THREAD_WRITER 16
#define CT_THREAD_HOME 24
#define CT_THREAD_SEQUENCE 32

// Writer: the thread's place in its packet; zero-filled in a child after fork
#define CT_WRITER_CURSOR 0
#define CT_WRITER_LAST 8

// SiteRecord: what a stub hands to its trampoline
#define CT_RECORD_HANDLER 0
#define CT_RECORD_BODY 8
#define CT_RECORD_EVENT 16
#define CT_RECORD_BYTES 48
