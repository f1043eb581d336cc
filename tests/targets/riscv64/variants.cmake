# GCC 12 and clang 14 for RV64GC, as Debian has them. Few: each runs under an emulator. clang's lld cannot link what
# Debian's libc was compiled to, with instructions to be relaxed. Entries without a pad have to be aligned.
set(entry -fpatchable-function-entry)
calltap_variant(default FLAGS -O2 ${entry}=9,8)
calltap_variant(gcc_4_pie FLAGS -O2 -fPIE -falign-functions=8 ${entry}=4 LINK -pie)
calltap_variant(gcc_8_4_no_pie_O0 FLAGS -O0 -fno-pie ${entry}=8,4 LINK -no-pie)
calltap_variant(gcc_without_compressed FLAGS -O3 -march=rv64g ${entry}=4,2)
calltap_variant(gcc_Os FLAGS -Os -mno-relax ${entry}=9,8)  # where GCC aligns nothing
calltap_variant(clang CLANG FLAGS -O2 ${entry}=9,8)
calltap_variant(clang_4 CLANG FLAGS -O2 -fPIE -falign-functions=8 ${entry}=4 LINK -pie)
