// What the assembly files define. For code.cpp only: everybody else asks for the copy in use
// (trampoline/code.h).
#pragma once

#include "trampoline/code.h"

#pragma GCC visibility push(hidden)
extern "C" {
extern const char __start_calltap_trampolines[];
extern const char __stop_calltap_trampolines[];
extern const char ct_recorder[];
extern const char ct_recorder_owned[];
extern const char ct_recorder_let_go[];
extern const char ct_recorder_aside[];
extern const char ct_recorder_aside_end[];
extern const char ct_return_point[];
extern const char ct_bare_hook[];
extern const char ct_bare_hook_owned[];
extern const char ct_bare_hook_let_go[];
extern const char ct_bare_hook_aside[];
extern const char ct_bare_hook_aside_end[];
extern const char ct_bare_return_point[];
extern const char ct_entry[];
extern const char ct_entry_called[];
extern const char ct_entry_threw[];
extern const char ct_entry_vectors[];
extern const char ct_entry_vectors_called[];
extern const char ct_entry_vectors_threw[];
extern const char ct_probe[];
extern const char ct_probe_entry_called[];
extern const char ct_probe_entry_threw[];
extern const char ct_probe_exit_called[];
extern const char ct_probe_exit_threw[];
extern const char ct_probe_owned[];
extern const char ct_probe_let_go[];
extern const char ct_probe_aside[];
extern const char ct_probe_aside_end[];
extern const char ct_probe_return_point[];
extern const char ct_probe_vectors[];
extern const char ct_probe_vectors_entry_called[];
extern const char ct_probe_vectors_entry_threw[];
extern const char ct_probe_vectors_exit_called[];
extern const char ct_probe_vectors_exit_threw[];
extern const char ct_probe_vectors_owned[];
extern const char ct_probe_vectors_let_go[];
extern const char ct_probe_vectors_aside[];
extern const char ct_probe_vectors_aside_end[];
extern const char ct_probe_vectors_return_point[];
extern const char ct_call_handler_called[];
extern const char ct_call_handler_threw[];
extern const char ct_call_exit_handler_called[];
extern const char ct_call_exit_handler_threw[];
extern const char ct_pass[];
extern const char ct_called_recorder[];
extern const char ct_called_bare_hook[];
extern const char ct_called_entry[];
extern const char ct_called_entry_vectors[];
extern const char ct_called_entry_alone[];
extern const char ct_called_entry_alone_called[];
extern const char ct_called_entry_alone_threw[];
extern const char ct_called_entry_vectors_alone[];
extern const char ct_called_entry_vectors_alone_called[];
extern const char ct_called_entry_vectors_alone_threw[];
extern const char ct_called_probe[];
extern const char ct_called_probe_vectors[];
extern const char ct_called_pass[];
extern const char ct_called_target[];
extern const char ct_called_body[];
extern const char ct_called_direct[];
extern const char ct_direct_slots[];
extern const char ct_direct_none[];
extern calltap::trampoline::DirectSlot ct_direct_table[CT_DIRECT_SLOTS];
extern const void* ct_personality_reference;
void ct_call_exit_handler(std::uint64_t ip, std::uint64_t parent_ip, calltap::trampoline::Client* client,
                          ct_regs* regs, void* data);
}
#pragma GCC visibility pop
