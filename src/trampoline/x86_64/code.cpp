#include "trampoline/code.h"

#include "trampoline/labels.h"

#pragma GCC visibility push(hidden)
extern "C" {
extern const char ct_entry_called_aligned[];
extern const char ct_entry_vectors_called_aligned[];
extern const char ct_probe_entry_called_aligned[];
extern const char ct_probe_exit_called_aligned[];
extern const char ct_probe_vectors_entry_called_aligned[];
extern const char ct_probe_vectors_exit_called_aligned[];
}
#pragma GCC visibility pop

using calltap::trampoline::HandlerCall;

constinit const calltap::trampoline::Code ct_code = {
    .identity = CT_CODE_IDENTITY,
    .calling_around = {__start_calltap_trampolines, __stop_calltap_trampolines},
    .return_points = {ct_return_point, ct_bare_return_point, ct_probe_return_point,
                      ct_probe_vectors_return_point},
    .with_frame = {{ct_recorder_owned, ct_recorder_let_go},
                   {ct_recorder_aside, ct_recorder_aside_end},
                   {ct_bare_hook_owned, ct_bare_hook_let_go},
                   {ct_bare_hook_aside, ct_bare_hook_aside_end},
                   {ct_probe_owned, ct_probe_let_go},
                   {ct_probe_aside, ct_probe_aside_end},
                   {ct_probe_vectors_owned, ct_probe_vectors_let_go},
                   {ct_probe_vectors_aside, ct_probe_vectors_aside_end}},
    .handler_calls = {{ct_entry_called, ct_entry_threw, HandlerCall::kEntry},
                      {ct_entry_vectors_called, ct_entry_vectors_threw, HandlerCall::kEntry},
                      {ct_probe_entry_called, ct_probe_entry_threw, HandlerCall::kEntry},
                      {ct_probe_exit_called, ct_probe_exit_threw, HandlerCall::kExit},
                      {ct_probe_vectors_entry_called, ct_probe_vectors_entry_threw, HandlerCall::kEntry},
                      {ct_probe_vectors_exit_called, ct_probe_vectors_exit_threw, HandlerCall::kExit},
                      {ct_entry_called_aligned, ct_entry_threw, HandlerCall::kEntry},
                      {ct_entry_vectors_called_aligned, ct_entry_vectors_threw, HandlerCall::kEntry},
                      {ct_probe_entry_called_aligned, ct_probe_entry_threw, HandlerCall::kEntry},
                      {ct_probe_exit_called_aligned, ct_probe_exit_threw, HandlerCall::kExit},
                      {ct_probe_vectors_entry_called_aligned, ct_probe_vectors_entry_threw,
                       HandlerCall::kEntry},
                      {ct_probe_vectors_exit_called_aligned, ct_probe_vectors_exit_threw, HandlerCall::kExit},
                      {ct_call_handler_called, ct_call_handler_threw, HandlerCall::kOfList},
                      {ct_call_exit_handler_called, ct_call_exit_handler_threw, HandlerCall::kUnwoundExit}},
    .recorder = ct_recorder,
    .bare_hook = ct_bare_hook,
    .entry = ct_entry,
    .entry_vectors = ct_entry_vectors,
    .probe = ct_probe,
    .probe_vectors = ct_probe_vectors,
    .pass = ct_pass,
    .direct_slots = ct_direct_slots,
    .direct_none = ct_direct_none,
    .direct_table = ct_direct_table,
    .call_handler = ct_call_handler,
    .call_exit_handler = ct_call_exit_handler,
    .list_entries = ct_list_entries,
    .list_exits = ct_list_exits,
    .may_set_ip = ct_may_set_ip,
    .called = {},
    .imports = &ct_imports,
    .personality = &ct_personality_reference,
};
