// A signal frame made by hand: rt_sigreturn from it gives a thread back everything that it had.
#pragma once

#include <sys/user.h>

#include <cstdint>
#include <vector>

namespace calltap::inject {

/// The ucontext and the vector state behind it, for `address`, which is where rsp points to when rt_sigreturn
/// is called and is a multiple of 8. `vectors` is what NT_X86_XSTATE gave.
std::vector<std::uint8_t> signal_frame(std::uint64_t address, const user_regs_struct& registers,
                                       std::uint64_t signal_mask, const std::vector<std::uint8_t>& vectors);

/// How much signal_frame() gives at most.
std::size_t signal_frame_bytes(const std::vector<std::uint8_t>& vectors);

/// The size of the frame that `bytes`, read from `address`, begin with, if it is one of ours. 0 if it is
/// none.
std::size_t signal_frame_found(std::uint64_t address, const std::vector<std::uint8_t>& bytes);

}  // namespace calltap::inject
