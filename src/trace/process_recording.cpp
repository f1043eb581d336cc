#include "trace/process_recording.h"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <unordered_set>

namespace calltap::trace {
namespace {

// Packets in a row: then threads that have ended get their turn, or a program that starts threads as fast as
// the tool writes their packets would run out of places for them.
constexpr std::uint32_t kMostAtOnce = 256;
constexpr std::uint32_t kMostBetweenLooks = 16;
constexpr std::uint64_t kPollNs = 50'000'000;
constexpr std::uint64_t kLeastCalibrationNs = 50'000'000;

std::uint64_t key_of(std::uint32_t slot, std::uint32_t incarnation) {
  return std::uint64_t{slot} << 32 | incarnation;
}

std::uint64_t count_events(const ReadyPacket& packet) {
  return scan_events(packet.events, packet.event_bytes, packet.header.timestamp_begin).events;
}

}  // namespace

ProcessRecording::ProcessRecording(std::filesystem::path directory, ProcessDescription description,
                                   const BufferSettings& settings, const TickSource& clock,
                                   RecordingTotals& totals, std::unique_ptr<RecordingWatcher> watcher)
    : directory_(std::move(directory)),
      description_(std::move(description)),
      clock_(clock),
      totals_(totals),
      memory_(settings, description_.uuid),
      watcher_(std::move(watcher)) {
  description_.on_full = settings.on_full;
  description_.buffer_bytes = settings.bytes_per_thread;
  thread_ = std::thread([this] { run(); });
  memory_.wait_until_tied();  // before the target can have the memory
}

ProcessRecording::ProcessRecording(std::filesystem::path directory, ProcessDescription description,
                                   int memory, const TickSource& clock, RecordingTotals& totals)
    : directory_(std::move(directory)),
      description_(std::move(description)),
      clock_(clock),
      totals_(totals),
      memory_(memory) {
  description_.uuid = memory_.uuid();
  description_.on_full = buffer::OnFull::kFlight;
  thread_ = std::thread([this] { run(); });
  memory_.wait_until_tied();
}

ProcessRecording::~ProcessRecording() {
  if (thread_.joinable()) finish({EndKind::kToolStopped, 0});
}

void ProcessRecording::add_module(std::shared_ptr<const ModuleFunctions> functions,
                                  const ModuleDescription& place) {
  const std::lock_guard lock(modules_mutex_);
  const std::uint64_t begin = place.first_function;
  const std::uint64_t end = begin + place.site_count;
  std::erase_if(modules_, [&](const LoadedModule& m) {
    if (place.site_count == 0) return m.place.path == place.path && m.place.load_bias == place.load_bias;
    return m.place.first_function < end && begin < std::uint64_t{m.place.first_function} + m.place.site_count;
  });
  modules_.push_back({std::move(functions), place});
  modules_changed_ = true;
}

void ProcessRecording::inherit_modules(std::vector<LoadedModule> modules) {
  const std::lock_guard lock(modules_mutex_);
  modules_ = std::move(modules);
  modules_changed_ = true;
}

void ProcessRecording::finish(ProcessEnd end) {
  end_ = end;
  finishing_.store(true);
  memory_.end_wait();
  thread_.join();
}

void ProcessRecording::run() {
  memory_.tie_life_to_thread();
  while (!finishing_.load()) {
    drain(watcher_ == nullptr ? kMostAtOnce : kMostBetweenLooks);
    collect_ended_threads();
    write_new_modules();
    memory_.wait(watcher_ == nullptr ? kPollNs : watcher_->look(memory_), finishing_);
  }
  description_.end = end_;
  write_new_modules();
  while (drain(kMostAtOnce)) {
  }
  for (const ReadyPacket& packet : memory_.take_rest()) write(packet);
  for (std::uint32_t slot = 0; slot < memory_.slots_used(); ++slot) {
    const SlotView view = memory_.slot(slot);
    if (view.tid != 0) update_thread(slot, view);
  }
  close_streams();
  if (watcher_ != nullptr) watcher_->finish(description_);
  write_description_now(true);
}

void ProcessRecording::write_new_modules() {
  bool changed = false;
  {
    const std::lock_guard lock(modules_mutex_);
    std::swap(changed, modules_changed_);
  }
  if (changed) write_description_now(false);
}

bool ProcessRecording::drain(std::uint32_t most) {
  constexpr std::uint32_t kAnnounceEvery = 8;
  for (std::uint32_t taken = 0; taken < most; ++taken) {
    const auto packet = memory_.take_queued();
    if (!packet) {
      memory_.announce_released();
      return false;
    }
    write(*packet);
    memory_.release(*packet);
    if (taken % kAnnounceEvery == 0) memory_.announce_released();
  }
  memory_.announce_released();
  return true;
}

ProcessRecording::Stream& ProcessRecording::stream_of(std::uint32_t slot, const SlotView& view) {
  const auto [place, is_new] = streams_.try_emplace(key_of(slot, view.incarnation));
  Stream& stream = place->second;
  if (is_new) {
    stream.thread = description_.threads.size();
    ThreadDescription thread;
    thread.tid = view.tid;
    thread.incarnation = view.incarnation;
    thread.name = view.name;
    description_.threads.push_back(std::move(thread));
  }
  return stream;
}

ProcessRecording::Stream& ProcessRecording::stream_of(const ReadyPacket& packet) {
  SlotView view = memory_.slot(packet.slot);
  if (view.incarnation != packet.incarnation) {  // a target that writes nonsense: take the packet's own word
    view = {};
    view.incarnation = packet.incarnation;
    view.tid = packet.header.tid;
  }
  return stream_of(packet.slot, view);
}

void ProcessRecording::write(const ReadyPacket& packet) {
  // Whoever reads the packet needs the names of its functions, also if the tool is killed now.
  write_new_modules();
  Stream& stream = stream_of(packet);
  if (packet.event_bytes == 0) return;
  if (watcher_ != nullptr) watcher_->packet(packet);
  const std::uint64_t size = packet.header.packet_bits / 8;
  if (totals_.max_bytes != 0 && totals_.bytes.load() + size > totals_.max_bytes) {
    totals_.limit_reached.store(true);
    memory_.stop(event::DiscardReason::kSizeLimit);
    discard(stream, packet, event::DiscardReason::kSizeLimit);
    return;
  }
  if (!append(stream, packet)) {
    discard(stream, packet, event::DiscardReason::kWriteError);
    return;
  }
  ++description_.packets;
  description_.bytes += size;
  totals_.bytes.fetch_add(size);
  totals_.events.fetch_add(totals_.has_words ? count_events(packet)
                                             : packet.event_bytes / event::kCompactBytes);
}

/// False if the packet could not be written whole; the file is as before then.
bool ProcessRecording::append(Stream& stream, const ReadyPacket& packet) {
  ThreadDescription& thread = description_.threads[stream.thread];
  if (stream.fd < 0) {
    if (open_streams_ >= kMaxOpenStreams) close_streams();
    std::string name = thread.stream;
    if (name.empty()) name = stream_name(thread.tid, ++occurrences_[thread.tid]);
    stream.fd = ::open((directory_ / name).c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (stream.fd < 0) {
      int none = 0;
      totals_.write_error.compare_exchange_strong(none, errno);
      return false;
    }
    thread.stream = name;
    ++open_streams_;
  }
  event::PacketHeader header = packet.header;
  header.tid = thread.tid;
  header.discarded += stream.discarded;
  iovec parts[2] = {{&header, sizeof header}, {const_cast<std::uint8_t*>(packet.events), packet.event_bytes}};
  const auto size = static_cast<ssize_t>(sizeof header + packet.event_bytes);
  ssize_t written = -1;
  do {
    written = ::writev(stream.fd, parts, 2);
  } while (written < 0 && errno == EINTR);
  if (written == size) {
    stream.size += static_cast<std::uint64_t>(size);
    return true;
  }
  int none = 0;
  totals_.write_error.compare_exchange_strong(none, written < 0 ? errno : ENOSPC);
  // What there is of the packet goes, so that the file stays a sequence of whole packets.
  if (::ftruncate(stream.fd, static_cast<off_t>(stream.size)) != 0) return false;
  return false;
}

void ProcessRecording::discard(Stream& stream, const ReadyPacket& packet, event::DiscardReason reason) {
  const std::uint64_t events = count_events(packet);
  stream.discarded += events;
  description_.threads[stream.thread].discarded[static_cast<std::size_t>(reason)] += events;
  description_.discarded[static_cast<std::size_t>(reason)] += events;
  totals_.discarded.fetch_add(events);
}

void ProcessRecording::update_thread(std::uint32_t slot, const SlotView& view) {
  ThreadDescription& thread = description_.threads[stream_of(slot, view).thread];
  thread.name = view.name;
  for (std::size_t i = 0; i < view.discarded.size(); ++i) {
    thread.discarded[i] += view.discarded[i];
    description_.discarded[i] += view.discarded[i];
  }
}

void ProcessRecording::collect_ended_threads() {
  for (std::uint32_t slot = 0; slot < memory_.slots_used(); ++slot) {
    const SlotView view = memory_.slot(slot);
    if (view.tid == 0 || !view.ended || view.has_queued) continue;
    update_thread(slot, view);
    const auto place = streams_.find(key_of(slot, view.incarnation));
    if (place != streams_.end()) {
      if (place->second.fd >= 0) {
        ::close(place->second.fd);
        --open_streams_;
      }
      if (description_.on_full == buffer::OnFull::kFlight) {
        place->second.ended = true;
        ++ended_streams_;
      } else {
        streams_.erase(place);
      }
    }
    memory_.free_slot(slot);
  }
  if (ended_streams_ >= 2 * std::size_t{memory_.packet_count()}) forget_overwritten_threads();
}

/// Flight mode: ended threads of which no packet is left. Their losses are in the process's counts; without
/// this, a program that starts threads for ever would need memory for all of them.
void ProcessRecording::forget_overwritten_threads() {
  std::unordered_set<std::uint64_t> owners;
  for (const auto& [slot, incarnation] : memory_.packet_owners()) owners.insert(key_of(slot, incarnation));
  std::erase_if(streams_,
                [&](const auto& entry) { return entry.second.ended && !owners.contains(entry.first); });
  std::vector<Stream*> kept;
  for (auto& [key, stream] : streams_) kept.push_back(&stream);
  std::sort(kept.begin(), kept.end(), [](const Stream* a, const Stream* b) { return a->thread < b->thread; });
  std::vector<ThreadDescription> threads;
  for (Stream* stream : kept) {
    threads.push_back(std::move(description_.threads[stream->thread]));
    stream->thread = threads.size() - 1;
  }
  description_.threads = std::move(threads);
  ended_streams_ = static_cast<std::size_t>(
      std::count_if(kept.begin(), kept.end(), [](const Stream* stream) { return stream->ended; }));
}

void ProcessRecording::close_streams() {
  for (auto& [key, stream] : streams_) {
    if (stream.fd >= 0) ::close(stream.fd);
    stream.fd = -1;
  }
  open_streams_ = 0;
}

void ProcessRecording::write_description_now(bool last) {
  // A program that starts thousands of processes must not fill the disk with the names of their functions.
  const bool with_functions = !totals_.limit_reached.load() || description_.packets != 0;
  description_.clock = clock_.describe(last ? kLeastCalibrationNs : 1'000'000);
  description_.modules.clear();
  description_.functions.clear();
  {
    const std::lock_guard lock(modules_mutex_);
    for (const LoadedModule& loaded : modules_) {
      const auto index = static_cast<std::uint32_t>(description_.modules.size());
      description_.modules.push_back(loaded.place);
      if (!with_functions) continue;
      for (FunctionDescription function : loaded.functions->functions) {
        function.id += loaded.place.first_function;
        function.module = index;
        description_.functions.push_back(std::move(function));
      }
    }
  }
  ProcessDescription written = description_;
  written.discarded[static_cast<std::size_t>(event::DiscardReason::kNoThreadSlot)] +=
      memory_.slotless_discarded();
  written.discarded[static_cast<std::size_t>(event::DiscardReason::kOverwritten)] += memory_.overwritten();
  if (!last) written.end = {EndKind::kRunning, 0};
  if (const auto error = write_description(directory_, written)) {
    int none = 0;
    totals_.write_error.compare_exchange_strong(none, error.value());
  }
  if (last) totals_.bytes.fetch_add(description_bytes(directory_));
}

}  // namespace calltap::trace
