// What programs compiled with -finstrument-functions call: nothing at all, or (COUNT) a counter, whose result
// goes to the file in PEER_CALLS.
#include "thread_counts.h"

#define HOOK __attribute__((no_instrument_function))

void __cyg_profile_func_enter(void* function, void* caller) HOOK;
void __cyg_profile_func_exit(void* function, void* caller) HOOK;

#ifdef COUNT
void __cyg_profile_func_enter(void* function, void* caller) {
  (void)function;
  (void)caller;
  count_call();
}
HOOK __attribute__((destructor)) static void finish(void) { write_calls(); }
#else
void __cyg_profile_func_enter(void* function, void* caller) {
  (void)function;
  (void)caller;
}
#endif

void __cyg_profile_func_exit(void* function, void* caller) {
  (void)function;
  (void)caller;
}
