// A copy of the trampolines' code near the program.
#pragma once

namespace calltap::runtime {

/// Where a program is linked for the low half of the address space and libraries are mapped at its end, a
/// jump between the two costs more than a near one: `./dev bench ops` measures a call into the library and
/// back beside a near one, 3.0 and 1.1 ns on an AMD EPYC (family 25). So a small library that holds nothing
/// but the trampolines is loaded next to a program that has sites, and used instead of this library's own
/// copy.
///
/// The loader cannot be told where to load a library, but the kernel maps it at the end of the highest gap
/// that is large enough: for the time of loading, all gaps above the program are reserved. Loaded by the
/// loader, from a file, the code is seen by every unwinder, debugger and profiler.
///
/// Does nothing, and the own copy stays in use, if that is near already, the program has no sites, other
/// threads run (they might want the memory), the library is not there or not of this build, the program
/// defines dlopen or malloc itself (it would see calls that it does not make), or the address space is
/// limited. Once, before anything is patched. `environment` is the program's.
void use_code_near_program(char** environment);

}  // namespace calltap::runtime
