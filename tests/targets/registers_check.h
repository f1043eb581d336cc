// Poisons every register before a hooked call: the callee must receive every argument register, and
// everything the contract keeps, unchanged at full width; the caller must receive every result register at
// full width, and its own callee-saved registers.
#pragma once

/// What a hook may lose.
struct RegistersContract {
  int vectors_kept;      // vector registers that the callee receives: 16, or the 8 that carry arguments
  int is_callee_called;  // 0: the call is answered with registers_override in rax
};
static const struct RegistersContract kKeepsAllVectors = {16, 1};

enum { registers_override = 0x5eed };

/// Makes `rounds` calls with `width` bytes (16, 32, 64) of the vector registers in use. Returns how many
/// registers were not as they should have been, and prints the first few.
unsigned registers_wrong(unsigned width, unsigned rounds, struct RegistersContract contract);

/// The same for every width that the processor has.
unsigned registers_wrong_at_all_widths(unsigned rounds, struct RegistersContract contract);

/// The hooked function, and the same behind its patchable entry.
void registers_callee(void);
void registers_body(void);
