// Where the bodies of functions begin, remembered for replacements, which ask at every call and must not wait
// for the engine's lock.
#pragma once

#include <cstdint>

namespace calltap::ops {

/// Address of the own code past the sled of the function that a program means by the address; 0 if it is not
/// remembered. Any context, without a lock.
std::uint64_t remembered_original(std::uint64_t address);
/// Under the engine's lock.
void remember_original(std::uint64_t address, std::uint64_t body);
/// A module is gone: another function may come to be where its functions were. Under the engine's lock.
void forget_originals();

}  // namespace calltap::ops
