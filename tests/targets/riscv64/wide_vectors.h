// No arguments travel in vector registers here: GCC 12 and clang 14 have no calling convention for those of
// the V extension.
#pragma once

static double wide_vectors(int i) { return i; }
