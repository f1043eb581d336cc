#include "runtime/control.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <span>
#include <string_view>

#include "api/error_text.h"
#include "base/array.h"
#include "buffer/control_protocol.h"
#include "isa/system.h"
#include "ops/engine.h"
#include "recorder/arguments.h"
#include "recorder/client.h"
#include "recorder/process.h"
#include "recorder/triggers.h"
#include "runtime/recording.h"
#include "runtime/session.h"
#include "runtime/snapshot.h"
#include "trampoline/guards.h"

namespace calltap::runtime {
namespace {

namespace native = isa::native;
using base::ErrorCode;
using base::Result;
using buffer::ControlReply;
using buffer::ControlRequest;
using buffer::Request;

std::atomic<std::uint32_t> control_tid{0};  // 0: no thread; kStarting
constexpr std::uint32_t kStarting = ~std::uint32_t{0};
std::atomic<std::uint32_t> ending{0};  // 1: a control thread has stepped aside, and is sending its last reply

/// A text of any length, sent as a row of messages when it is complete: by then nobody holds a lock that the
/// program could wait for while the tool takes its time.
class Reply {
 public:
  explicit Reply(Connection& connection) : connection_(connection) {}

  void put(std::string_view text) { whole_ = whole_ && text_.append({text.data(), text.size()}); }
  void put(std::uint64_t value) {
    char digits[20];
    std::size_t at = sizeof digits;
    do {
      digits[--at] = static_cast<char>('0' + value % 10);
      value /= 10;
    } while (value != 0);
    put(std::string_view(digits + at, sizeof digits - at));
  }
  /// One line "key=value".
  template <class Value>
  void line(std::string_view key, Value value) {
    put(key);
    put("=");
    put(value);
    put("\n");
  }
  /// False: the tool does not take it.
  bool end(ErrorCode error = ErrorCode::kNone) {
    if (!whole_ && error == ErrorCode::kNone) error = ErrorCode::kOutOfMemory;
    return finish(error, -1);
  }
  /// The last part takes the descriptor along.
  bool end_with(int fd) { return finish(ErrorCode::kNone, fd); }

 private:
  bool finish(ErrorCode error, int fd) {
    std::string_view text(text_.data(), text_.size());
    while (text.size() > buffer::kMaxControlText) {
      if (!send(ControlReply::kMore, error, text.substr(0, buffer::kMaxControlText), -1)) return false;
      text.remove_prefix(buffer::kMaxControlText);
    }
    return send(0, error, text, fd);
  }

  bool send(std::uint32_t flags, ErrorCode error, std::string_view text, int fd) {
    ControlReply reply;
    reply.header.size = static_cast<std::uint32_t>(sizeof reply + text.size());
    reply.flags = flags;
    reply.error = static_cast<std::int32_t>(error);
    reply.text_bytes = static_cast<std::uint32_t>(text.size());
    std::memcpy(message_, &reply, sizeof reply);
    if (!text.empty()) std::memcpy(message_ + sizeof reply, text.data(), text.size());
    const std::span<const std::uint8_t> message(message_, reply.header.size);
    return static_cast<bool>(fd < 0 ? connection_.send(message) : connection_.send(message, fd));
  }

  Connection& connection_;
  base::Array<char> text_;
  bool whole_ = true;
  alignas(8) static std::uint8_t message_[buffer::kMaxMessage];  // of the one control thread
};
alignas(8) std::uint8_t Reply::message_[buffer::kMaxMessage];

std::string_view name_of(recorder::ClientStatus status) {
  switch (status) {
    case recorder::ClientStatus::kAttached:
      return "on";
    case recorder::ClientStatus::kPaused:
      return "paused";
    case recorder::ClientStatus::kDetached:
      break;
  }
  return "off";
}

/// The tool of the present recording has ended without stopping it.
bool is_tool_gone() { return (recorder::process().pool.control().tool_life.load() & FUTEX_OWNER_DIED) != 0; }

/// Threads that write events now, and what was lost since the recording began.
void put_buffers(Reply& reply) {
  const buffer::Pool pool = recorder::process().pool;
  const buffer::Control& control = pool.control();
  constexpr std::string_view kModes[] = {"wait", "discard", "flight"};
  reply.line("on_full", kModes[static_cast<std::size_t>(control.on_full)]);
  std::uint64_t threads = 0;
  std::uint64_t discarded = control.slotless_discarded.load() + control.overwritten.load();
  const std::uint32_t slots = control.slots_used.load();
  for (std::uint32_t i = 0; i < slots && i < buffer::kMaxThreads; ++i) {
    const buffer::ThreadSlot& slot = pool.thread(i);
    if (slot.tid.load() == 0) continue;
    threads += slot.ended.load() == 0 ? 1 : 0;
    for (const std::uint64_t count : slot.discarded) discarded += count;
  }
  reply.line("threads", threads);
  reply.line("discarded", discarded);
  reply.line("tool_gone", std::uint64_t{control.stopped.load() != 0 || is_tool_gone()});
  reply.line("unattended", std::uint64_t{control.unattended});
  reply.line("buffer_bytes", std::uint64_t{control.packet_count} * event::kPacketBytes);
}

void put_clients(Reply& reply) {
  const ops::EngineLock lock;
  for (const ct_ops& client : ops::all_clients()) {
    if (!client.is_registered()) continue;
    constexpr std::string_view kKinds[] = {"handlers", "direct", "redirect"};
    const trampoline::Counters counters = trampoline::sum_counters(client);
    reply.put("client=");
    reply.put(client.is_recorder ? "recorder" : client.name[0] != '\0' ? client.name : "-");
    reply.put("\t");
    reply.put(kKinds[static_cast<std::size_t>(client.role)]);
    reply.put(client.state == ops::ClientState::kDisabled ? "\tdisabled\t" : "\tenabled\t");
    reply.put(client.functions);
    reply.put("\t");
    reply.put(counters.hits + client.counted_before.hits);
    reply.put("\t");
    reply.put(counters.missed + client.counted_before.missed);
    reply.put("\n");
  }
}

void put_modules(Reply& reply) {
  const ops::EngineLock lock;
  for (ops::Module* m = ops::first_module(); m != nullptr; m = m->next) {
    if (m->site_count == 0) continue;
    std::uint64_t on = 0;
    m->patch.for_each([&on](const trampoline::SiteRecord& record) { on += record.is_on; });
    reply.put("module=");
    reply.put(m->path);
    reply.put("\t");
    reply.put(std::uint64_t{m->site_count});
    reply.put("\t");
    reply.put(std::uint64_t{m->patch.size()});
    reply.put("\t");
    reply.put(on);
    reply.put("\n");
  }
}

/// Set aside by a trigger until a tool asks for it: a mapping of a copy of the buffers.
buffer::Pool saved_snapshot;
std::uint64_t saved_bytes = 0;

void put_functions(Reply& reply) {
  const ops::EngineLock lock;
  ops::list_enabled_functions(
      [](void* context, std::string_view line) { static_cast<Reply*>(context)->put(line); }, &reply);
}

void put_status(Reply& reply) {
  const bool has_pool = recorder::process().mode.load() == recorder::Mode::kOn;
  reply.line("version", std::string_view(CALLTAP_VERSION));
  reply.line("recording", name_of(recorder::status()));
  reply.line("session", session_name());
  reply.line("switch", std::string_view(ops::is_switched_on() ? "on" : "off"));
  if (has_pool) put_buffers(reply);
  if (saved_bytes != 0) reply.line("saved", std::uint64_t{1});
  if (recorder::records_arguments()) reply.line("arguments", std::uint64_t{1});
  put_clients(reply);
  put_modules(reply);
}

bool end(Reply& reply, const Result<void>& result, const ops::Failure& failure) {
  if (result) return reply.end();
  char text[512];
  api::describe(result.error(), failure, text);
  const bool is_ours = result.error().code == ErrorCode::kRefused;
  reply.put(is_ours ? failure.reason : std::string_view(text));
  return reply.end(result.error().code);
}

Result<void> record(std::string_view session, ops::Failure& failure) {
  if (recorder::status() != recorder::ClientStatus::kDetached) {
    // A tool that is gone has left it behind.
    if (recorder::process().mode.load() == recorder::Mode::kOn && !is_tool_gone()) {
      failure.reason = recorder::process().pool.control().unattended != 0
                           ? "it is in flight mode (calltap attach --flight); calltap detach ends that"
                           : "the process is being recorded";
      return ErrorCode::kRefused;
    }
    if (auto stopped = stop_recording(failure); !stopped) return stopped;
  }
  if (!set_session(session)) return ErrorCode::kProtocol;
  auto started = start_recording(ops::EngineStart::kProgramRuns, failure);
  if (!started) set_session({});
  return started;
}

Result<void> set_filter(std::span<const std::uint8_t> text, ops::Failure& failure) {
  ops::FunctionFilter filter;
  if (auto read = read_filters(text, filter); !read) return read;
  // Of a function that is recorded and has no arguments nobody is told anything wrong.
  if (auto set = recorder::set_arguments_filter(filter, failure); !set) return set;
  return recorder::set_filter(filter, failure);
}

Result<void> set_paused(bool paused, ops::Failure& failure) {
  if (auto set = recorder::set_arguments_paused(paused, failure); !set) return set;
  return recorder::set_paused(paused, failure);
}

Result<void> set_mode(std::string_view mode, ops::Failure& failure) {
  buffer::OnFull& on_full = recorder::process().pool.control().on_full;
  if (on_full == buffer::OnFull::kFlight) {
    failure.reason = "it records in flight mode, which stays until the recording ends";
    return ErrorCode::kRefused;
  }
  if (mode != "wait" && mode != "discard") return ErrorCode::kProtocol;
  buffer::OnFull wanted = mode == "wait" ? buffer::OnFull::kWait : buffer::OnFull::kDiscard;
  __atomic_store(&on_full, &wanted, __ATOMIC_RELAXED);
  return {};
}

Result<void> leave_out(std::span<const std::uint8_t> text, Reply& reply, ops::Failure& failure) {
  constexpr std::size_t kMost = buffer::kMaxMessage / sizeof(std::uint32_t);
  static std::uint32_t functions[kMost];  // of the one control thread
  const std::size_t count = text.size() / sizeof(std::uint32_t);
  if (text.size() % sizeof(std::uint32_t) != 0 || count > kMost) return ErrorCode::kProtocol;
  std::memcpy(functions, text.data(), text.size());
  for (std::size_t i = 1; i < count; ++i) {
    if (functions[i] <= functions[i - 1]) return ErrorCode::kProtocol;
  }
  const auto when = recorder::leave_out({functions, count}, failure);
  if (!when) return when.error();
  reply.line("begun", when->begun);
  reply.line("done", when->done);
  return {};
}

/// Says so in the reply if there is no recording that could be changed.
bool is_recorded(Reply& reply) {
  if (recorder::status() != recorder::ClientStatus::kDetached) return true;
  reply.put("it is not being recorded");
  return false;
}

void drop_saved_snapshot() {
  if (saved_bytes == 0) return;
  native::system_call(SYS_munmap, reinterpret_cast<long>(&saved_snapshot.control()),
                      static_cast<long>(saved_bytes));
  saved_snapshot = {};
  saved_bytes = 0;
}

bool is_in_flight_mode() {
  return recorder::process().mode.load() == recorder::Mode::kOn &&
         recorder::process().pool.control().on_full == buffer::OnFull::kFlight;
}

/// For a trigger. Without memory for it, the next tool gets what is in the buffers then.
void save_snapshot() {
  if (!is_in_flight_mode()) return;
  const buffer::Pool pool = recorder::process().pool;
  const auto fd = copy_buffers(pool);
  if (!fd) return;
  const std::uint64_t bytes = buffer::total_bytes(pool.control().packet_count);
  const long memory = native::system_call(SYS_mmap, 0, static_cast<long>(bytes), PROT_READ | PROT_WRITE,
                                          MAP_SHARED | MAP_NORESERVE, *fd, 0);
  native::system_call(SYS_close, *fd);
  if (isa::is_error(memory)) return;
  drop_saved_snapshot();
  saved_snapshot = buffer::Pool(reinterpret_cast<void*>(memory));
  saved_bytes = bytes;
}

bool send_snapshot(Reply& reply) {
  ops::Failure failure;
  if (!is_in_flight_mode()) {
    failure.reason =
        "it does not record in flight mode; calltap attach --flight or record -p --on-full flight does that";
    return end(reply, ErrorCode::kRefused, failure);
  }
  const auto fd = copy_buffers(saved_bytes != 0 ? saved_snapshot : recorder::process().pool);
  if (!fd) return end(reply, fd.error(), failure);
  drop_saved_snapshot();
  describe_modules(
      [](void* context, std::span<const std::uint8_t> message) {
        static_cast<Reply*>(context)->put({reinterpret_cast<const char*>(message.data()), message.size()});
      },
      &reply);
  const bool sent = reply.end_with(*fd);
  native::system_call(SYS_close, *fd);
  return sent;
}

/// The thread is about to end, and says so before the tool hears of it: the next tool may come at once, and
/// is to find no control thread rather than one that no longer listens.
void step_aside() {
  recorder::set_helper(nullptr);
  ending.store(1, std::memory_order_release);
  control_tid.store(0, std::memory_order_release);
  ::prctl(PR_SET_NAME, "calltap-ended");
}

/// False: the connection is done with.
bool answer(Connection& connection, Request request, std::span<const std::uint8_t> text, bool& leaves) {
  const std::string_view words(reinterpret_cast<const char*>(text.data()), text.size());
  Reply reply(connection);
  ops::Failure failure;
  switch (request) {
    case Request::kStatus:
      put_status(reply);
      return reply.end();
    case Request::kFunctions:
      put_functions(reply);
      return reply.end();
    case Request::kRecord:
      return end(reply, record(words, failure), failure);
    case Request::kSnapshot:
      return send_snapshot(reply);
    case Request::kStop:
      drop_saved_snapshot();
      return end(reply, stop_recording(failure), failure);
    case Request::kFilter:
      if (!is_recorded(reply)) return reply.end(ErrorCode::kNotRegistered);
      return end(reply, set_filter(text, failure), failure);
    case Request::kPause:
    case Request::kResume:
      if (!is_recorded(reply)) return reply.end(ErrorCode::kNotRegistered);
      return end(reply, set_paused(request == Request::kPause, failure), failure);
    case Request::kMode:
      if (!is_recorded(reply)) return reply.end(ErrorCode::kNotRegistered);
      return end(reply, set_mode(words, failure), failure);
    case Request::kLeaveOut:
      if (!is_recorded(reply)) return reply.end(ErrorCode::kNotRegistered);
      return end(reply, leave_out(text, reply, failure), failure);
    case Request::kDetach: {
      drop_saved_snapshot();
      auto done = stop_recording(failure);
      if (done) {
        auto left = ops::give_code_back(failure);
        if (!left) done = left.error();
        if (left) reply.line("left", std::uint64_t{*left});
      }
      leaves = static_cast<bool>(done);
      if (leaves) step_aside();
      return end(reply, done, failure);
    }
  }
  return false;
}

/// Serves one tool. A message that is not as it should be ends the connection.
void serve(std::uint64_t nonce, bool& leaves) {
  char name[buffer::kControlSocketName + 1];
  buffer::control_socket_name(nonce, name);
  Connection connection;
  connection.set_patience(kPatienceSeconds);
  if (!connection.open(name)) return;
  buffer::ControlHello hello;
  hello.pid = static_cast<std::uint32_t>(isa::current_pid());
  static_assert(sizeof CALLTAP_VERSION <= sizeof hello.version);
  std::memcpy(hello.version, CALLTAP_VERSION, sizeof CALLTAP_VERSION);
  if (!connection.send({reinterpret_cast<const std::uint8_t*>(&hello), sizeof hello})) return;
  static std::uint8_t message[buffer::kMaxMessage];  // of the one control thread
  for (bool more = true; more && !leaves;) {
    const auto received = connection.receive(message);
    if (!received) return;
    if (received->memory_fd >= 0) native::system_call(SYS_close, received->memory_fd);
    ControlRequest request;
    if (received->size < sizeof request) return;
    std::memcpy(&request, message, sizeof request);
    if (request.header.magic != buffer::kMagic || request.header.version != buffer::kProtocolVersion ||
        request.header.type != buffer::MessageType::kControlRequest ||
        request.text_bytes != received->size - sizeof request) {
      return;
    }
    more = answer(connection, request.request, {message + sizeof request, request.text_bytes}, leaves);
  }
}

/// The thread that the process began with has ended.
bool leader_has_ended() {
  char path[8];
  constexpr long kNoEntry = -ENOENT;
  return native::system_call(SYS_readlinkat, AT_FDCWD, reinterpret_cast<long>("/proc/self/cwd"),
                             reinterpret_cast<long>(path), sizeof path) == kNoEntry;
}

/// Threads that are listed under the process: those that run, and the first one for as long as there is any.
std::size_t count_threads() {
  const long fd = native::system_call(SYS_openat, AT_FDCWD, reinterpret_cast<long>("/proc/self/task"),
                                      O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (isa::is_error(fd)) return ~std::size_t{0};
  alignas(8) char entries[2048];
  std::size_t count = 0;
  for (;;) {
    const long bytes =
        native::system_call(SYS_getdents64, fd, reinterpret_cast<long>(entries), sizeof entries);
    if (bytes <= 0) break;
    for (long at = 0; at < bytes;) {
      const auto* entry = reinterpret_cast<const dirent64*>(entries + at);
      if (entry->d_name[0] != '.') ++count;
      at += entry->d_reclen;
    }
  }
  native::system_call(SYS_close, fd);
  return count;
}

/// From a trigger's handler: what is wanted is in memory, so one signal is as good as many.
std::atomic<std::uint32_t> help_wanted{0};

void ask_for_help() {
  const std::uint32_t tid = control_tid.load(std::memory_order_relaxed);
  if (tid == 0 || tid == kStarting || help_wanted.exchange(1) != 0) return;
  native::system_call(SYS_tgkill, isa::current_pid(), static_cast<long>(tid), buffer::kControlSignal);
}

void help_triggers() {
  help_wanted.store(0);
  recorder::enforce_gate();
  if (recorder::take_snapshot_request()) save_snapshot();
}

/// Waits for a tool. False: there is none, but time to see whether the program still runs.
bool wait_for_tool(std::uint64_t& nonce, bool leader_ended) {
  const std::uint64_t signals = std::uint64_t{1} << (buffer::kControlSignal - 1);
  const timespec timeout = leader_ended ? timespec{0, 20'000'000} : timespec{1, 0};
  siginfo_t info = {};
  const long signal = native::system_call(SYS_rt_sigtimedwait, reinterpret_cast<long>(&signals),
                                          reinterpret_cast<long>(&info), reinterpret_cast<long>(&timeout), 8);
  if (signal != buffer::kControlSignal) return false;
  if (info.si_code == SI_TKILL) help_triggers();
  nonce = reinterpret_cast<std::uint64_t>(info.si_value.sival_ptr);
  return info.si_code == SI_QUEUE;
}

/// All but SIGTRAP and glibc's SIGSETXID, which ::sigprocmask would leave out as well, with kControlSignal.
constexpr std::uint64_t kBlocked = ~(std::uint64_t{1} << (SIGTRAP - 1) | std::uint64_t{1} << (33 - 1));

void* run_control(void*) {
  // pthread_create() has let kControlSignal through. The name comes after this: tools take it as a promise.
  native::system_call(SYS_rt_sigprocmask, SIG_SETMASK, reinterpret_cast<long>(&kBlocked), 0, sizeof kBlocked);
  control_tid.store(static_cast<std::uint32_t>(isa::current_tid()), std::memory_order_release);
  while (ending.load(std::memory_order_acquire) != 0)
    isa::sleep_for(1'000'000);  // it has our message buffers
  ::prctl(PR_SET_NAME, buffer::kControlThreadName);
  recorder::set_helper(ask_for_help);
  bool leader_ended = false;
  bool leaves = false;
  while (!leaves) {
    std::uint64_t nonce = 0;
    if (wait_for_tool(nonce, leader_ended)) {
      serve(nonce, leaves);
      continue;
    }
    leader_ended = leader_ended || leader_has_ended();
    constexpr std::size_t kLeaderAndOurselves = 2;
    if (leader_ended && count_threads() <= kLeaderAndOurselves) break;
  }
  if (!leaves) step_aside();
  ending.store(0, std::memory_order_release);
  // Where this was the last thread, libc now runs the program's exit handlers here.
  const std::uint64_t none = 0;
  native::system_call(SYS_rt_sigprocmask, SIG_SETMASK, reinterpret_cast<long>(&none), 0, sizeof none);
  return nullptr;
}

int create_thread() {
  pthread_attr_t attributes;
  if (const int error = ::pthread_attr_init(&attributes); error != 0) return error;
  constexpr std::size_t kStackBytes = 256 << 10;
  ::pthread_attr_setstacksize(&attributes, kStackBytes);
  ::pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t thread;
  const int error = ::pthread_create(&thread, &attributes, run_control, nullptr);
  ::pthread_attr_destroy(&attributes);
  return error;
}

}  // namespace

void forget_control_thread() {
  control_tid.store(0, std::memory_order_relaxed);
  ending.store(0, std::memory_order_relaxed);
}

}  // namespace calltap::runtime

extern "C" long ct_start_control(std::uint64_t /*argument*/) {
  using namespace calltap;
  using namespace calltap::runtime;
  std::uint32_t none = 0;
  if (!control_tid.compare_exchange_strong(none, kStarting)) {
    return none == kStarting ? -EBUSY : static_cast<long>(none);
  }
  if (!recorder::initialise()) {
    control_tid.store(0);
    return -ENOMEM;
  }
  // The thread inherits the mask.
  std::uint64_t old = 0;
  native::system_call(SYS_rt_sigprocmask, SIG_SETMASK, reinterpret_cast<long>(&kBlocked),
                      reinterpret_cast<long>(&old), sizeof old);
  const int error = create_thread();
  native::system_call(SYS_rt_sigprocmask, SIG_SETMASK, reinterpret_cast<long>(&old), 0, sizeof old);
  if (error != 0) {
    control_tid.store(0);
    return -error;
  }
  std::uint32_t tid = kStarting;
  while ((tid = control_tid.load(std::memory_order_acquire)) == kStarting) {
    native::system_call(SYS_sched_yield);
  }
  return tid;
}
