// Room for the loader's calls to land in, where nothing near the loader is free: see redirect.cpp. Whatever the address of
// the function that is called, there is one here that is a multiple of 64 KiB away from it. Pages of its own, so that
// they can be made writable without any code in them.
        .section calltap_landing_area, "ax", @progbits
        .globl  ct_landing_area, ct_landing_area_end
        .hidden ct_landing_area, ct_landing_area_end
        .p2align 12
ct_landing_area:
        .zero   65536 + 4096
ct_landing_area_end:

        .section .note.GNU-stack, "", @progbits
