set(api_variants gcc clang)
# Unwind tables are not the default there for C.
set(api_gcc_flags GCC -O2 -fasynchronous-unwind-tables ${entry_flag})
set(api_clang_flags CLANG -O2 -fasynchronous-unwind-tables ${entry_flag})
# GCC 12 and clang 14 know no landing pads there.
set(api_no_landing_pads)
set(api_landing_pads)
set(api_landing_pad_variants)
set(api_has_general_regs_only FALSE)
set(api_call_ops_flags GCC -O2 -falign-functions=8 -fpatchable-function-entry=8,4)
