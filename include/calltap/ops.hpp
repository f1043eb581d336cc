// Owners of clients: Callback, Probe, Direct and Redirect. Each owns a ct_ops and, for handlers, the lambdas.
//
//   auto calls = calltap::Callback::make([&](calltap::EntryRegs regs) { ... });
//   if (!calls || !calls->set_filter("parse_*") || !calls->attach()) ...
//
// Threads: any may call anything at any time, but one object must not be moved or destroyed while another
// thread uses it. In a handler only where it says so: all else returns EDEADLK. Never in a signal handler.
//
// Handlers are called by many threads at once, hence as const: what a lambda changes it captures by
// reference, and synchronises itself. The code that a handler's thread runs around it is hooked no more than
// calltap.h says. A handler that throws is caught by the library (see handlers_thrown()); an entry handler
// that threw gets no exit.
#pragma once

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <new>
#include <string>
#include <type_traits>
#include <utility>

#include "calltap/expected.hpp"
#include "calltap/regs.hpp"

// Of our own code that runs before the user's handler: not hookable, also in programs of which every function
// is.
#define CALLTAP_NOT_HOOKED [[gnu::patchable_function_entry(0, 0), gnu::no_instrument_function]]

namespace calltap {

/// How a client is made. See the CT_* flags of calltap.h.
struct Options {
  const char* name = "";           // in enabled_functions(); at most 63 bytes are kept, no control characters
  bool general_regs_only = false;  // handlers and all they call are compiled with -mgeneral-regs-only
  bool permanent = false;          // the global switch refuses while this is attached
  bool not_permanent = false;      // a direct call or redirect that the global switch may turn off
  bool allow_no_match = false;     // attaching is no error if no function matches yet
  bool ipmodify = false;           // a callback that may call set_ip()

  [[nodiscard]] unsigned flags() const {
    return (general_regs_only ? CT_GENERAL_REGS_ONLY : 0) | (permanent ? CT_PERMANENT : 0) |
           (not_permanent ? CT_NOT_PERMANENT : 0) | (allow_no_match ? CT_ALLOW_NO_MATCH : 0) |
           (ipmodify ? CT_IPMODIFY : 0);
  }
};

/// What a filter's verb does with what was selected before.
enum class Filter { kAdd, kReplace };

/// What a client has not got, and why.
struct Failures {
  std::uint64_t count = 0;
  std::string text;  // empty if there are none
};

/// What an entry handler of a probe may return.
enum class Exit { kWanted = 0, kUnwanted = 1 };

/// Unregisters and frees the clients whose owners were destroyed where that was not possible (see ~Ops).
/// True if none is left. Making, attaching, detaching and destroying any client does this too.
inline bool free_abandoned();

namespace detail {

/// What belongs to a client and lives until no handler of it can be running.
struct ClientState {
  ClientState() = default;
  ClientState(const ClientState&) = delete;
  ClientState& operator=(const ClientState&) = delete;
  virtual ~ClientState() = default;

  ct_ops* ops = nullptr;
  ClientState* next = nullptr;         // among the abandoned
  std::atomic<bool> abandoned{false};  // handlers do nothing any more
};

inline std::atomic<ClientState*> first_abandoned{nullptr};

inline void abandon(ClientState* state) {
  state->abandoned.store(true, std::memory_order_relaxed);
  state->next = first_abandoned.load(std::memory_order_relaxed);
  while (!first_abandoned.compare_exchange_weak(state->next, state, std::memory_order_acq_rel)) {
  }
}

/// Unregisters and frees, or keeps it for free_abandoned().
inline bool free_client(ClientState* state) {
  if (ct_free_ops(state->ops) == 0) {
    delete state;
    return true;
  }
  abandon(state);
  return false;
}

template <class State>
const State* state_of(const ct_ops* client) {
  return static_cast<const State*>(static_cast<ClientState*>(ct_ops_user(client)));
}

inline Expected<void> check(int result) {
  return result == 0 ? Expected<void>() : Expected<void>(Error::last(result));
}

template <class Handler>
struct CallbackState : ClientState {
  explicit CallbackState(Handler h) : handler(std::move(h)) {}

  CALLTAP_NOT_HOOKED static void call(std::uint64_t ip, std::uint64_t parent_ip, ct_ops* client,
                                      ct_regs* regs) {
    const auto* state = state_of<CallbackState>(client);
    if (!state->abandoned.load(std::memory_order_relaxed)) state->handler(EntryRegs(ip, parent_ip, regs));
  }

  Handler handler;
};

/// In place of an entry handler.
struct NoEntry {};

template <class Data, class Entry, class Exiting>
struct ProbeState : ClientState {
  ProbeState(Entry e, Exiting x) : entry(std::move(e)), exit(std::move(x)) {}

  CALLTAP_NOT_HOOKED static int call_entry(std::uint64_t ip, std::uint64_t parent_ip, ct_ops* client,
                                           ct_regs* regs, void* data) {
    const auto* state = state_of<ProbeState>(client);
    if (state->abandoned.load(std::memory_order_relaxed)) return 1;
    const EntryRegs view(ip, parent_ip, regs);
    if constexpr (std::is_void_v<Data>) {
      return result_of([&] { return state->entry(view); });
    } else {
      // The memory is zeroed, which is all that a trivial type needs.
      auto* typed = static_cast<Data*>(data);
      if constexpr (!std::is_trivially_default_constructible_v<Data>) typed = ::new (data) Data();
      return result_of([&] { return state->entry(view, *typed); });
    }
  }

  CALLTAP_NOT_HOOKED static void call_exit(std::uint64_t ip, std::uint64_t parent_ip, ct_ops* client,
                                           ct_regs* regs, void* data) {
    const auto* state = state_of<ProbeState>(client);
    if (state->abandoned.load(std::memory_order_relaxed)) return;
    const ExitRegs view(ip, parent_ip, regs);
    if constexpr (std::is_void_v<Data>) {
      state->exit(view);
    } else {
      state->exit(view, *static_cast<Data*>(data));
    }
  }

  template <class Call>
  static int result_of(Call call) {
    if constexpr (std::is_void_v<decltype(call())>) {
      call();
      return 0;
    } else {
      static_assert(std::is_same_v<decltype(call()), Exit>,
                    "an entry handler returns nothing or calltap::Exit");
      return static_cast<int>(call());
    }
  }

  Entry entry;
  Exiting exit;
};

/// Arguments of a probe's handlers: with per-call data or without.
template <class Handler, class View, class Data>
inline constexpr bool kIsProbeHandler = std::is_invocable_v<const Handler&, View, Data&>;
template <class Handler, class View>
inline constexpr bool kIsProbeHandler<Handler, View, void> = std::is_invocable_v<const Handler&, View>;

template <class Data>
constexpr std::size_t data_bytes() {
  if constexpr (std::is_void_v<Data>) {
    return 0;
  } else {
    static_assert(std::is_trivially_copyable_v<Data>, "per-call data is copied and dropped as bytes");
    static_assert(sizeof(Data) <= CT_DATA_MAX && alignof(Data) <= 8,
                  "per-call data has at most CT_DATA_MAX bytes, aligned to 8");
    return sizeof(Data);
  }
}

}  // namespace detail

inline bool free_abandoned() {
  if (detail::first_abandoned.load(std::memory_order_relaxed) == nullptr) return true;
  bool all = true;
  detail::ClientState* state = detail::first_abandoned.exchange(nullptr, std::memory_order_acq_rel);
  while (state != nullptr) {
    detail::ClientState* next = state->next;
    all = detail::free_client(state) && all;
    state = next;
  }
  return all;
}

/// Filter, state and counters: what all clients have. Move-only; a moved-from one may only be destroyed or
/// assigned to.
class [[nodiscard]] Ops {
 public:
  Ops(Ops&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  /// The client that was owned goes, as in ~Ops(). Assigning an owner to itself changes nothing.
  Ops& operator=(Ops&& other) noexcept {
    if (this != &other) {
      const Ops old(std::move(*this));
      state_ = std::exchange(other.state_, nullptr);
    }
    return *this;
  }
  /// Detaches and waits until no handler of the client runs; then destroys the lambdas.
  ///
  /// Where that is not possible, in a handler above all (it would wait for itself), the client is abandoned:
  /// its handlers are not entered any more except by threads that are just about to, its lambdas stay alive,
  /// its direct call or redirect stays in force, and free_abandoned() does the rest when it can.
  ~Ops() {
    if (state_ == nullptr) return;
    detail::free_client(state_);
    free_abandoned();
  }

  // Filters: which functions, in modules loaded now or later. The grammar of patterns is in calltap.h. On an
  // error nothing has changed; kReplace goes from the old selection to the new one without a moment of any
  // other. Errors: EINVAL malformed pattern, the text has the column; of an attached client those of
  // attach().
  Expected<void> set_filter(const char* pattern, Filter how = Filter::kAdd) {
    return detail::check(ct_set_filter(get(), pattern, reset(how)));
  }
  /// These never, whatever the filter says.
  Expected<void> set_notrace(const char* pattern, Filter how = Filter::kAdd) {
    return detail::check(ct_set_notrace(get(), pattern, reset(how)));
  }
  /// All functions of the modules ("libfoo", "libfoo.so.1", "lib*").
  Expected<void> set_filter_module(const std::string& module, Filter how = Filter::kAdd) {
    return set_filter((module + ":*").c_str(), how);
  }
  /// Exactly this symbol, mangled or not. ENOENT: no loaded module has it.
  Expected<void> set_filter_symbol(const char* symbol, Filter how = Filter::kAdd) {
    return detail::check(ct_set_filter_symbol(get(), symbol, reset(how)));
  }
  /// Exactly the function at this address. ENXIO: it is not the entry of one that can be attached to.
  Expected<void> set_filter_ip(std::uint64_t ip, Filter how = Filter::kAdd) {
    return detail::check(ct_set_filter_ip(get(), ip, 0, reset(how)));
  }
  Expected<void> remove_filter_ip(std::uint64_t ip) {
    return detail::check(ct_set_filter_ip(get(), ip, 1, 0));
  }
  /// The same, for a function that the program can name.
  template <class Function>
  requires std::is_function_v<Function> Expected<void> set_filter_function(Function* function,
                                                                           Filter how = Filter::kAdd) {
    return set_filter_ip(to_register(function), how);
  }

  /// Stop and go on without giving up what was attached. After disable() no handler runs and none will.
  Expected<void> disable() { return detail::check(ct_disable_ops(get())); }
  Expected<void> enable() { return detail::check(ct_enable_ops(get())); }

  // Any context.
  [[nodiscard]] std::uint64_t hits() const { return ct_ops_hits(get()); }      // entry handler ran
  [[nodiscard]] std::uint64_t missed() const { return ct_ops_missed(get()); }  // it should have
  [[nodiscard]] std::size_t functions() const { return ct_ops_functions(get()); }

  /// Modules loaded since attach() that it could not be attached to, and what went wrong with the last one.
  /// Handlers may ask.
  [[nodiscard]] Failures failed_modules() const { return failures(ct_ops_failed_modules); }
  /// Functions that the filter selects and that cannot be patched, and what is wrong with the first one.
  /// Handlers may ask.
  [[nodiscard]] Failures refused_functions() const { return failures(ct_ops_refused_functions); }

  /// For the functions of calltap.h. Stays ours.
  [[nodiscard]] ct_ops* get() const { return state_->ops; }

 protected:
  explicit Ops(detail::ClientState* state) : state_(state) {}

  /// `new_ops(state, flags)` is one of ct_new_*(). Takes the state, which may be null.
  template <class Owner, class NewOps>
  static Expected<Owner> make_owner(detail::ClientState* state, const Options& options, NewOps new_ops) {
    if (state == nullptr) return Error(ENOMEM, "no memory for a client");
    free_abandoned();
    state->ops = new_ops(static_cast<void*>(state), options.flags());
    if (state->ops == nullptr) {
      const int code = errno;
      delete state;
      return Error(code, ct_error_text());
    }
    if (const int named = ct_set_name(state->ops, options.name); named != 0) {
      const Error error = Error::last(named);
      detail::free_client(state);
      return error;
    }
    return Owner(state);
  }

  template <class Attach>
  static Expected<void> change(Attach attach) {
    free_abandoned();
    return detail::check(attach());
  }

 private:
  static int reset(Filter how) { return how == Filter::kReplace ? 1 : 0; }

  template <class Ask>
  Failures failures(Ask ask) const {
    char text[512];
    const std::uint64_t count = ask(get(), text, sizeof text);
    return {count, text};
  }

  detail::ClientState* state_;
};

/// Attaches and detaches handlers. Errors of attach(): ENOENT no function matches, EEXIST attached already,
/// EBUSY, EOPNOTSUPP, ...: docs/api.md. Of detach(): ESRCH not attached, EDEADLK in a handler.
class [[nodiscard]] HandlerOps : public Ops {
 public:
  /// All or nothing. Handlers may run before it returns.
  Expected<void> attach() {
    return change([this] { return ct_register_ops(get()); });
  }
  /// Waits for handlers that run; afterwards none runs and none will: pending exits are dropped.
  Expected<void> detach() {
    return change([this] { return ct_unregister_ops(get()); });
  }

 protected:
  using Ops::Ops;
};

/// A handler at the entry of functions: void(EntryRegs).
class [[nodiscard]] Callback : public HandlerOps {
 public:
  /// Errors: ENOMEM, EINVAL, EDEADLK in a handler.
  template <class Handler>
  static Expected<Callback> make(Handler handler, const Options& options = {}) {
    static_assert(std::is_invocable_v<const Handler&, EntryRegs>,
                  "a callback is called with (calltap::EntryRegs), as const");
    using State = detail::CallbackState<Handler>;
    return make_owner<Callback>(
        new (std::nothrow) State(std::move(handler)), options,
        [](void* user, unsigned flags) { return ct_new_callback(State::call, user, flags); });
  }

 private:
  friend class Ops;
  using HandlerOps::HandlerOps;
};

/// A pair of handlers, at the entry and when the call has ended.
///
///   struct Started { std::uint64_t ns; };
///   Probe::make<Started>([](EntryRegs, Started& s) { s.ns = now(); }, [](ExitRegs, Started& s) { ... });
///
/// Each call has a `Data` of its own, at most CT_DATA_MAX trivially copyable bytes, value-initialised before
/// the entry handler. Without Data, the handlers take the registers alone. The entry handler may return
/// Exit::kUnwanted: this call's exit handler is not called.
class [[nodiscard]] Probe : public HandlerOps {
 public:
  /// Errors: ENOMEM, EINVAL, EDEADLK in a handler.
  template <class Data = void, class Entry, class Exiting>
  static Expected<Probe> make(Entry entry, Exiting exit, const Options& options = {}) {
    static_assert(detail::kIsProbeHandler<Entry, EntryRegs, Data>,
                  "an entry handler is called with (calltap::EntryRegs, Data&), as const");
    return make_probe<Data>(std::move(entry), std::move(exit), options,
                            detail::ProbeState<Data, Entry, Exiting>::call_entry);
  }
  /// No handler at the entry.
  template <class Exiting>
  static Expected<Probe> make_exit(Exiting exit, const Options& options = {}) {
    return make_probe<void>(detail::NoEntry(), std::move(exit), options, nullptr);
  }

 private:
  friend class Ops;
  using HandlerOps::HandlerOps;

  template <class Data, class Entry, class Exiting>
  static Expected<Probe> make_probe(Entry entry, Exiting exit, const Options& options,
                                    ct_entry_handler* call_entry) {
    static_assert(detail::kIsProbeHandler<Exiting, ExitRegs, Data>,
                  "an exit handler is called with (calltap::ExitRegs, Data&), as const");
    using State = detail::ProbeState<Data, Entry, Exiting>;
    return make_owner<Probe>(new (std::nothrow) State(std::move(entry), std::move(exit)), options,
                             [call_entry](void* user, unsigned flags) {
                               return ct_new_probe(call_entry, State::call_exit, detail::data_bytes<Data>(),
                                                   user, flags);
                             });
  }
};

/// A direct call: functions call the trampoline, nothing between, before their own code. What a trampoline
/// must keep is in calltap.h.
class [[nodiscard]] Direct : public Ops {
 public:
  template <class Function>
  requires std::is_function_v<Function>
  static Expected<Direct> make(Function* trampoline, const Options& options = {}) {
    auto made = make_owner<Direct>(new (std::nothrow) detail::ClientState, options, ct_new_ops);
    if (made) made->trampoline_ = reinterpret_cast<const void*>(trampoline);
    return made;
  }

  /// A filter must be set. Errors: as Callback; EBUSY a function has a direct call already, EACCES the
  /// trampoline is not executable memory.
  Expected<void> attach() {
    return change([this] { return ct_register_direct(get(), trampoline_); });
  }
  /// No thread enters the trampoline any more; when the last one has left it only the trampoline can know.
  Expected<void> detach() {
    return change([this] { return ct_unregister_direct(get()); });
  }
  /// Of an attached one: every call sees the old or the new trampoline.
  template <class Function>
  requires std::is_function_v<Function> Expected<void> modify(Function* trampoline) {
    const void* target = reinterpret_cast<const void*>(trampoline);
    auto modified = change([&] { return ct_modify_direct(get(), target); });
    if (modified) trampoline_ = target;
    return modified;
  }

 private:
  friend class Ops;
  using Ops::Ops;
  const void* trampoline_ = nullptr;
};

/// Replaces functions by one with their signature, which may call original().
class [[nodiscard]] Redirect : public Ops {
 public:
  /// Replaces this function. Errors: as set_filter_ip() too.
  template <class Function>
  requires std::is_function_v<Function>
  static Expected<Redirect> make(Function* function, std::type_identity_t<Function>* replacement,
                                 const Options& options = {}) {
    auto made = make_for_filter(replacement, options);
    if (!made) return made;
    if (auto selected = made->set_filter_function(function); !selected) return selected.error();
    return made;
  }
  /// Replaces what set_filter() and the like select; that the signatures agree is up to the caller.
  template <class Function>
  requires std::is_function_v<Function>
  static Expected<Redirect> make_for_filter(Function* replacement, const Options& options = {}) {
    auto made = make_owner<Redirect>(new (std::nothrow) detail::ClientState, options, ct_new_ops);
    if (made) made->replacement_ = reinterpret_cast<const void*>(replacement);
    return made;
  }

  /// Errors: as Callback; EBUSY a function has a redirect already, EACCES the replacement is not executable
  /// memory.
  Expected<void> attach() {
    return change([this] { return ct_register_redirect(get(), replacement_); });
  }
  Expected<void> detach() {
    return change([this] { return ct_unregister_redirect(get()); });
  }

 private:
  friend class Ops;
  using Ops::Ops;
  const void* replacement_ = nullptr;
};

}  // namespace calltap
