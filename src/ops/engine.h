// The one way to patch: clients are registered here, and every site gets what its clients need.
//
//   filter --select--> sites --prepare--> records --op sets--> publish --toggle--> switched
//
// A registration is all or nothing: what can fail is done before anything is published, and what fails after
// that is taken back. Everything but wait_for_handlers() happens under one lock. docs/ops.md argues the order
// of the stores.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/error.h"
#include "ops/client.h"
#include "ops/failure.h"
#include "ops/modules.h"

namespace calltap::ops {

/// Makes the engine ready: vector registers, core synchronisation, the loader's notifications, the modules.
/// Any number of times; the first counts. Not under the engine's lock. Errors: kCoreSyncUnavailable.
///
/// kProcessStarts is for the first constructor of the process: nobody else changes the loader's list then,
/// and a dl_iterate_phdr that the program defines (ThreadSanitizer's) must not be called before its own
/// constructors.
enum class EngineStart { kProcessStarts, kProgramRuns };
base::Result<void> start_engine(EngineStart when);

/// The code of all modules without clients is as in their files again; if there are no clients at all, so is
/// the loader's, and the engine sleeps until start_engine() is called again. Returns how many functions keep
/// harmless bytes of ours (patch::Patcher::restore). Errors: as patch::Patcher::restore.
base::Result<std::uint32_t> give_code_back(Failure& failure);

/// Holds the engine's lock for its life; the holder may take it again. Whoever holds it waits for no handler,
/// so that handlers may take it: but in the middle of an operation of their own thread they see what is half
/// done.
class EngineLock {
 public:
  EngineLock();
  ~EngineLock();
  EngineLock(const EngineLock&) = delete;
  EngineLock& operator=(const EngineLock&) = delete;
};

/// For pthread_atfork: a child gets an engine that nobody is working on.
void lock_for_fork();
void unlock_after_fork();

// Under the engine's lock, not in a handler. On an error nothing has changed; `failure` then says more.

/// Errors: kAlreadyRegistered, kNoHandler, kNoFilter, kNoMatch, kHasDirect, kHasRedirect, kMaySetIp,
/// kSiteNotPatchable, kSwitchedOff, kPatchingStopped, kOutOfMemory, and those of patch::Patcher.
base::Result<void> register_client(ct_ops& client, Failure& failure);
/// It is registered, and as this. Errors: kNotRegistered, kOtherKind.
base::Result<void> check_registered(const ct_ops& client, Role role, Failure& failure);
/// It is neither registered nor leaving. Errors: kAlreadyRegistered.
base::Result<void> check_idle(const ct_ops& client, Failure& failure);
/// Detaches from all sites; the client is leaving from then on. The caller then waits for handlers, and calls
/// finish_unregister() with the client's generation. Errors: kNotRegistered, kOutOfMemory.
base::Result<void> begin_unregister(ct_ops& client, Failure& failure);
/// Does nothing to a client that is not leaving since that generation: somebody else has finished it.
void finish_unregister(ct_ops& client, std::uint64_t generation, std::uint64_t epoch);
/// The wait has failed: the client is a disabled one, which can be unregistered again.
void cancel_unregister(ct_ops& client, std::uint64_t generation);
/// After any operation: frees sets that nobody has any more, now and then and without waiting, for a program
/// that never unregisters anything may change filters for ever.
void free_unused_sets();
/// Detach without giving up the registration, and back. The first is followed by waiting for handlers.
base::Result<void> disable_client(ct_ops& client, Failure& failure);
base::Result<void> enable_client(ct_ops& client, Failure& failure);
/// Exchanges the filter; of a registered client, all or nothing.
base::Result<void> set_client_filter(ct_ops& client, const FunctionFilter& filter, Failure& failure);
/// Exchanges the target of a registered direct call: one store a function.
base::Result<void> modify_direct(ct_ops& client, std::uint64_t target, Failure& failure);

/// Errors: kPermanentClient.
base::Result<void> set_switch(bool on, Failure& failure);
bool is_switched_on();

/// Whether the function exists and can be attached to; for an address, which one it is (see find_entry).
base::Result<std::uint64_t> check_entry(std::uint64_t address, Failure& failure);
base::Result<void> check_symbol(std::string_view symbol, Failure& failure);
/// Where the function's own code begins, past the sled; 0 if no client has ever been attached to it.
std::uint64_t original_of(std::uint64_t address);

/// Writes a line for every function that has clients (see ct_enabled_functions) through `put`.
void list_enabled_functions(void (*put)(void* context, std::string_view text), void* context);

/// The recorder wants to know which numbers the functions of a module have before their first events can
/// come.
struct Attached {
  const Module& module;
  std::uint32_t prepared;
  std::uint32_t refused;
};
using RecorderAttached = void (*)(const Attached& attached);
/// kWithSites: of which the recorder can record something. kAll: for it may have to name any address.
enum class Observed { kWithSites, kAll };
void set_recorder_observer(RecorderAttached observer, Observed modules);

}  // namespace calltap::ops
