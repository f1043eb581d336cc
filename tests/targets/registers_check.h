// Poisons every register before a hooked call: the callee must receive every argument register, and
// everything the contract keeps, unchanged at full width; the caller must receive every result register at
// full width, and its own callee-saved registers.
#pragma once

/// What a hook may lose.
struct RegistersContract {
  int keeps_all_vectors;  // 0: the callee receives those vector registers that carry arguments
  int is_callee_called;   // 0: the call is answered with the override as its result
};
static const struct RegistersContract kKeepsAllVectors = {1, 1};
enum { registers_override = 0x5eed };

/// In how many bytes vector registers can be in use, the least first; returns the number of such widths.
enum { kMostRegistersWidths = 3 };
unsigned registers_widths(unsigned widths[kMostRegistersWidths]);

/// Makes `rounds` calls with `width` bytes of the vector registers in use. Returns how many
/// registers were not as they should have been, and prints the first few.
unsigned registers_wrong(unsigned width, unsigned rounds, struct RegistersContract contract);

/// The same for every width that the processor has.
unsigned registers_wrong_at_all_widths(unsigned rounds, struct RegistersContract contract);

/// The hooked function, and the same behind its patchable entry.
void registers_callee(void);
void registers_body(void);
