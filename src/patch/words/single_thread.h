// Is the calling thread alone in the process?
#pragma once

namespace calltap::patch {

/// True only if it certainly is. Takes the process's own word for it where an emulator adds a thread of its
/// own to those that the kernel lists.
bool is_single_threaded();

}  // namespace calltap::patch
