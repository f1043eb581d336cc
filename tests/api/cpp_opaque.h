// clang has no attribute that keeps it from drawing conclusions from a function's body: that a call does
// nothing, or always gives the same.
#pragma once

#define CHANGES_MEMORY __asm__ volatile("" ::: "memory")
