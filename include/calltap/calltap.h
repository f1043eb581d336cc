/* Calltap's C interface: attach clients ("ops") to the functions of the calling process while it runs.
 *
 * A function can be attached to if it was compiled with -fpatchable-function-entry (see calltap_instrument()
 * in CMake, or `pkg-config --variable=instrument calltap`). The verbs and the rules follow the kernel's
 * ftrace:
 *
 *   ct_ops *ops = ct_new_callback(on_call, NULL, 0);
 *   ct_set_filter(ops, "parse_*", 0);
 *   if (ct_register_ops(ops) != 0) fprintf(stderr, "%s\n", ct_error_text());
 *   ...
 *   ct_unregister_ops(ops);         no handler runs any more, and none will
 *   ct_free_ops(ops);
 *
 * Returns:   0 or a negative errno value; ct_error_text() then says what is wrong, with addresses and bytes.
 * Threads:   every function may be called by any thread at any time.
 * Handlers:  only where it says so: what would have to wait for the handler itself returns -EDEADLK.
 * Signals:   never in a signal handler, except for the accessors of ct_regs inside a handler.
 * Stability: symbols are versioned (CALLTAP_1). ct_ops and ct_regs are the library's own: only pointers to
 *            them are passed.
 */
#ifndef CALLTAP_CALLTAP_H
#define CALLTAP_CALLTAP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One client: a filter, handlers and flags. Made by ct_new_*(), freed by ct_free_ops(). */
typedef struct ct_ops ct_ops;

/* The registers of a hooked call, as seen and changed by handlers. Valid until the handler returns. */
typedef struct ct_regs ct_regs;

/* ----------------------------------------------------------------------
 * handlers
 *
 * ip         address of the function (what a pointer to it holds)
 * parent_ip  address that the call returns to
 * data       `data_bytes` that belong to this one call, zeroed before the entry handler; aligned to 8
 *
 * Handlers run on the calling thread and its stack. They may use everything the function could: malloc,
 * stdio, locks, fork, dlopen. What they call runs no handlers, and counts as missed; redirects and direct
 * calls stay in force. A handler must not leave by longjmp or switch coroutines. (A
 * signal handler of the program that interrupts one may leave by longjmp: the thread's next calls may count
 * as missed, until one comes from no deeper in the stack than the handler was.) If it throws, the exception
 * is caught and destroyed where the handler was called, counted (ct_handlers_thrown) and, the first time,
 * reported on standard error.
 */

/* At the entry of a function. */
typedef void ct_callback(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs);

/* At the entry, for a probe. Not 0: this call's exit handler is not wanted. */
typedef int ct_entry_handler(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data);

/* When the call has ended: by a return, by a skipped body, or (ct_regs_unwound) by an exception, a longjmp,
 * or the end of its thread. */
typedef void ct_exit_handler(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data);

/* ----------------------------------------------------------------------
 * flags */

/* The handlers and all they call touch no vector or floating-point register, as -mgeneral-regs-only sees to
 * on x86-64 and AArch64: these need not be saved around them, and ct_regs has none. */
#define CT_GENERAL_REGS_ONLY 0x1u
/* The global switch refuses while this ops is registered. Direct calls and redirects have this by themselves.
 */
#define CT_PERMANENT 0x2u
/* A direct call or redirect that the global switch may turn off. Not together with CT_PERMANENT. */
#define CT_NOT_PERMANENT 0x4u
/* Registering is no error if no function of a loaded module matches: modules may come. */
#define CT_ALLOW_NO_MATCH 0x8u
/* A callback that may call ct_regs_set_ip(): counts as a redirect, of which a function can have one. A call
 * that goes on elsewhere skips the function's direct call too, unlike a redirect (docs/ops.md has why). Not
 * for direct calls and redirects. */
#define CT_IPMODIFY 0x10u

#define CT_DATA_MAX 32 /* bytes of per-call data that a probe can have */

/* ----------------------------------------------------------------------
 * making and freeing */

/* NULL when memory is exhausted, an argument is invalid, or a handler asks: errno is then ENOMEM, EINVAL or
 * EDEADLK. `user` is what ct_ops_user() returns. */
ct_ops* ct_new_callback(ct_callback* callback, void* user, unsigned flags);
/* Either handler may be NULL. An entry-only probe costs what a callback costs, and has no data. */
ct_ops* ct_new_probe(ct_entry_handler* entry, ct_exit_handler* exit, size_t data_bytes, void* user,
                     unsigned flags);
/* For ct_register_direct() and ct_register_redirect(). */
ct_ops* ct_new_ops(void* user, unsigned flags);
/* Unregisters if need be; waits for handlers also if another thread is unregistering the ops. NULL is fine.
 * Errors: as ct_unregister_ops(), and then nothing is freed. A freed ops is refused (-EINVAL) until its
 * memory is another's. */
int ct_free_ops(ct_ops* ops);

void* ct_ops_user(const ct_ops* ops); /* any context */

/* A name for ct_enabled_functions() and error texts; at most 63 bytes are kept. NULL: none. -EINVAL, and the
 * name stays as it was: control characters, which would break the lines of these texts. Also in handlers. */
int ct_set_name(ct_ops* ops, const char* name);

/* ----------------------------------------------------------------------
 * filters
 *
 * An ops is attached to every function that its filter selects, in modules loaded now or later. No pattern:
 * all functions. Direct calls, redirects and CT_IPMODIFY need a filter that begins with a pattern without
 * "!", with a symbol, or has an address (-EINVAL): what changes functions is for those that were named.
 * Notrace patterns win. A pattern is
 *
 *   ["!"] [module-glob ":"] name-glob        with  *  ?  [abc]  [a-z]  [!a-z]  \x
 *
 * and is matched with the symbol, the demangled signature, and the demangled name without parameters, with
 * and without the return type that templates have there: "*()" are the functions without parameters,
 * "*operator()" the call operators. "!" removes what earlier patterns selected, and as the first pattern it
 * selects all others. `reset` drops what was there; with it, a registered ops goes from
 * the old filter to the new one without a moment in which it is attached to anything else. Changing the
 * filter of a registered ops is all or nothing. A pattern that is NULL adds none: with `reset`, for dropping
 * what there was, which may leave all functions selected.
 *
 * Errors: -EINVAL malformed pattern (the text has the column); for a registered ops as ct_register_ops().
 */
int ct_set_filter(ct_ops* ops, const char* pattern, int reset);
int ct_set_notrace(ct_ops* ops, const char* pattern, int reset);
/* Exactly this symbol as symbol tables have it, so of C++ the mangled one; no glob characters. At least one
 * loaded module must have it: -ENOENT. */
int ct_set_filter_symbol(ct_ops* ops, const char* symbol, int reset);
/* Exactly the function at this address, whatever other patterns than notrace say; with `remove`, all but it.
 * The addresses of a module are forgotten when it is unloaded; a filter of addresses that has none left
 * selects nothing. In a program linked without -pie the address of a library's function is that of a jump in
 * the program: the function is meant, here and wherever this interface takes one. -ENXIO: it is not the entry
 * of a function of a loaded module that can be attached to; the text says where it is instead (inside a
 * function, in a module without entries, in no module). */
int ct_set_filter_ip(ct_ops* ops, uint64_t ip, int remove, int reset);

/* ----------------------------------------------------------------------
 * registration
 *
 * All or nothing: on an error no function is left attached to that was not before. Handlers may run before
 * these return. After an unregister or disable returns 0, none of the client's handlers runs and none will:
 * exits still pending are dropped, and what the client owns may be freed or unloaded. If waiting for handlers
 * fails, the ops is left as by ct_disable_ops(), and can be unregistered again.
 *
 *   -ENOENT      no function matches (the text has names like what was asked for, if there are any, and a
 *                module that is stripped of names)
 *   -EEXIST      the ops is registered already, or another thread is still unregistering it
 *   -ESRCH       the ops is not registered, or another thread is unregistering it already: that its handlers
 *                are done, only that thread knows when its call returns
 *   -EBUSY       a function has a redirect, a handler with CT_IPMODIFY, or a direct call already (the text
 *                names its ops); the switch is off, the ops permanent
 *   -EINVAL      a redirect or direct call whose filter names nothing, or of a function to itself; an ops
 *                without a handler, or registered as another kind than the one that is unregistered or
 *                modified; NULL or a freed ops
 *   -EOPNOTSUPP  a function named by symbol or address cannot be patched (the text has the reason)
 *   -EACCES      the trampoline or replacement is not in executable memory
 *   -ENOSPC      too many functions have had direct calls
 *   -EDEADLK     called by a handler
 *   -ENOMEM      no memory
 *   -EPERM       code cannot be written
 *   -ENODEV      patching has stopped after an inconsistency
 */
int ct_register_ops(ct_ops* ops);
int ct_unregister_ops(ct_ops* ops);

/* Detach from and attach to all functions without giving up the registration. A disabled ops claims nothing:
 * another may get the redirect or direct call of its functions, and enabling it is then -EBUSY (in the
 * kernel, what is disabled is not registered). */
int ct_disable_ops(ct_ops* ops);
int ct_enable_ops(ct_ops* ops);

/* A direct call: each function calls `trampoline`, nothing between, before its own code. x86-64: it is
 * entered with all registers as the function would see them, (rsp) leading back into the function and 8(rsp)
 * the caller's return address; it must keep all argument registers, rax, r10 and the callee-saved ones, and
 * end with `ret`. AArch64: x30 leads back and x9 to the caller; it keeps x0 to x8, x18 and q0 to q7, and
 * returns with the two exchanged. RISC-V: t0 leads back and ra to the caller; it keeps a0 to a7, t2 to t6 and
 * fa0 to fa7, and ends with `jr t0` (docs/register-contract.md). It runs after the entry handlers of other
 * ops.
 *
 * rsp is where the function found it: a trampoline that calls others aligns it to 16 itself, as a caller
 * within the same file may not have done so (docs/api.md).
 *
 * Unregister: no thread enters the trampoline any more; threads may still be inside, which only it can know.
 */
int ct_register_direct(ct_ops* ops, const void* trampoline);
int ct_unregister_direct(ct_ops* ops);
/* Every call sees the old or the new target. */
int ct_modify_direct(ct_ops* ops, const void* trampoline);

/* A redirect: the functions are replaced by `replacement`, which has their signature. It is not one of them
 * (-EINVAL); that redirects of several ops do not lead in a circle, or back from a replacement that calls the
 * function instead of ct_original(), is the program's to see to. */
int ct_register_redirect(ct_ops* ops, const void* replacement);
int ct_unregister_redirect(ct_ops* ops);
/* The function itself, past all hooks: what a replacement calls as the original. NULL if the address is not
 * that of an attached function. Stays valid while the module is loaded. Also in handlers; waits for nobody
 * once it has been asked for a function. */
void* ct_original(const void* function);

/* ----------------------------------------------------------------------
 * global switch */

/* 0: every ops is detached; -EBUSY while a permanent one is registered. 1: all are attached again.
 * Registering while it is off fails where it would otherwise, and with -EBUSY for a permanent ops. What ops
 * that are off have is taken, so that no conflict arises that would keep the switch off. */
int ct_set_enabled(int enabled);
int ct_enabled(void);

/* ----------------------------------------------------------------------
 * status */

/* Who is attached where: one line a function,
 *
 *   name [module] (count) R I D O M  ops-name ...
 *
 * R saves registers for a handler that has not CT_GENERAL_REGS_ONLY, I redirected, D direct call, O one ops
 * alone is called without a list, M was ever redirected or directly called. Like snprintf: returns the length
 * of the whole text, writes at most `size` bytes with the terminating zero. -EDEADLK in a handler. */
long ct_enabled_functions(char* text, size_t size);

uint64_t ct_ops_hits(const ct_ops* ops);    /* calls whose entry handler ran */
uint64_t ct_ops_missed(const ct_ops* ops);  /* calls that should have been seen and were not: made by a
                                               handler, no memory for a call frame, or after more
                                               than 1,024 tail calls of functions with probes */
uint64_t ct_handlers_thrown(void);          /* exceptions that came out of handlers, of all clients */
size_t ct_ops_functions(const ct_ops* ops); /* functions it is attached to */
/* Modules that came after the ops was registered and that it could not be attached to: another had the
 * redirect or direct call of a function in them, a function named by symbol cannot be patched, or memory was
 * exhausted. Counts those that are loaded; ct_set_filter() and the like and ct_enable_ops() try again, and
 * leave 0 if they succeed. `text`, which may be NULL, gets what went wrong with the last of them, "" if there
 * is none. Handlers may ask. */
uint64_t ct_ops_failed_modules(const ct_ops* ops, char* text, size_t size);
/* Functions that its filter selects and that it is not attached to, because they cannot be patched: as of
 * when it was registered, enabled or given this filter, and in modules loaded since, also if they are gone
 * again. `text`, which may be NULL, gets the first of them, why, and its code, "" if there is none. Handlers
 * may ask. */
uint64_t ct_ops_refused_functions(const ct_ops* ops, char* text, size_t size);

/* What went wrong in the calling thread's last call of this interface that failed; "" if none has. */
const char* ct_error_text(void);

/* ----------------------------------------------------------------------
 * registers
 *
 * For handlers, on their own `regs`. No errors but ct_regs_set_ip()'s: what there is not reads as 0.
 */

/* The n-th (from 0) argument of integer or pointer class: registers first (x86-64: 0 to 5, AArch64 and
 * RISC-V: 0 to 7), then the stack, where n counts the stack's 8-byte slots on.
 *
 * How many stack arguments a call has shows nowhere, and a struct that is passed by value has no largest
 * size, so no n is refused: that it is one of the function's is up to the handler. Beyond them lies what
 * belongs to the callers, which reads as anything and must not be written, and beyond the stack's end a
 * crash. */
uint64_t ct_regs_argument(const ct_regs* regs, unsigned n);
void ct_regs_set_argument(ct_regs* regs, unsigned n, uint64_t value);
/* The n-th (from 0) 8-byte slot of stack arguments; of n the same is true. */
uint64_t ct_regs_stack_argument(const ct_regs* regs, unsigned n);
/* Entry: where the function is to build a result that is returned in memory, if it has such a one. That is
 * argument 0 on x86-64 and RISC-V, and none of the arguments on AArch64 (x8). To supply such a result, build
 * it there and override the return with this address. */
uint64_t ct_regs_result_address(const ct_regs* regs);
/* The n-th argument (0 to 7) of class double or float; those that are passed on the stack are its slots. 0
 * for any other n, and with CT_GENERAL_REGS_ONLY. */
double ct_regs_double_argument(const ct_regs* regs, unsigned n);
float ct_regs_float_argument(const ct_regs* regs, unsigned n);
/* The n-th vector argument register: address of its 16, 32 or 64 bytes, `*bytes` of which the program may
 * use. NULL if there is none. Writing to it changes the register. In an exit handler: of the return value, n
 * 0 or 1. */
void* ct_regs_vector(ct_regs* regs, unsigned n, size_t* bytes);

uint64_t ct_regs_ip(const ct_regs* regs); /* the function */
uint64_t ct_regs_parent_ip(const ct_regs* regs);
/* Stack pointer at the entry. Under a probe the return address there is the trampoline's: see parent_ip. */
uint64_t ct_regs_sp(const ct_regs* regs);

/* In exit handlers: the return value. The second word of a 16-byte one is n 1. docs/api.md has which of these
 * are for which types; a long double can be neither read nor changed. */
uint64_t ct_regs_return_value(const ct_regs* regs);
uint64_t ct_regs_return_word(const ct_regs* regs, unsigned n);
double ct_regs_double_return_value(const ct_regs* regs);
float ct_regs_float_return_value(const ct_regs* regs);
void ct_regs_set_return_value(ct_regs* regs, uint64_t value);
void ct_regs_set_return_word(ct_regs* regs, unsigned n, uint64_t value);
void ct_regs_set_double_return_value(ct_regs* regs, double value);
void ct_regs_set_float_return_value(ct_regs* regs, float value);
/* Not 0: the call did not return; there is no return value. */
int ct_regs_unwound(const ct_regs* regs);

/* In entry handlers ("fmod_ret"): do not run the function, return this value. Later entry handlers of the
 * same call still run, direct calls and the body do not, exit handlers do.
 *
 * A result of two parts is supplied part by part, with any of these for each: word 0 is the return value;
 * word 1 may show as an argument in later handlers. What the first two vector registers hold is returned
 * along, but for what the functions for double and float put into the first. A struct in memory is written
 * where argument 0 points, and that address is the return value. A long double cannot be supplied: its caller
 * would take one that nobody has put there; use a redirect. docs/api.md has all types. */
void ct_regs_override_return(ct_regs* regs, uint64_t value);
void ct_regs_override_return_word(ct_regs* regs, unsigned n, uint64_t value);
void ct_regs_override_double_return(ct_regs* regs, double value);
void ct_regs_override_float_return(ct_regs* regs, float value);
int ct_regs_overridden(const ct_regs* regs);
/* In entry handlers of an ops with CT_IPMODIFY: go on at this address instead of the function; at the
 * function's own: as if nobody had asked. An override wins over it. Returns 0, or -EPERM in an exit handler
 * and in handlers of an ops without CT_IPMODIFY; nothing has changed then, and there is no error text. */
int ct_regs_set_ip(ct_regs* regs, uint64_t ip);

#ifdef __cplusplus
}
#endif

#endif
