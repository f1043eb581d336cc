// One process image being recorded: takes packets out of the shared memory, writes the streams and the
// description.
#pragma once

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "trace/shared_memory.h"
#include "trace/tick_source.h"

namespace calltap::trace {

/// What all processes of a recording share.
struct RecordingTotals {
  std::atomic<std::uint64_t> bytes{0};
  std::atomic<std::uint64_t> events{0};
  std::atomic<std::uint64_t> discarded{0};  // that the tool itself discarded
  std::uint64_t max_bytes = 0;              // 0 = no limit
  bool has_words = false;  // events may have words of data behind them: their number does not tell from bytes
  std::atomic<bool> limit_reached{false};
  std::atomic<int> write_error{0};  // errno of the first failed write
};

/// The functions of one module, as the tool found them in the file. Shared by the processes that load it.
struct ModuleFunctions {
  ModuleDescription module;                    // load_bias and counts are each process's own
  std::vector<FunctionDescription> functions;  // id and module index are each process's own
};

struct LoadedModule {
  std::shared_ptr<const ModuleFunctions> functions;
  ModuleDescription place;
};

/// Looks at what is recorded on its way to the files. All members in the recording's own thread.
class RecordingWatcher {
 public:
  virtual ~RecordingWatcher() = default;
  /// A packet that is about to be written: all that come to the files, each thread's in order.
  virtual void packet(const ReadyPacket& packet) = 0;
  /// Now and then, as the returned number of nanoseconds says at the latest.
  virtual std::uint64_t look(const SharedMemory& memory) = 0;
  /// Everything has been written but the last description, which may be added to.
  virtual void finish(ProcessDescription& description) = 0;
};

/// Made when a process says Hello; ended with finish(). All members from one thread; a thread of its own
/// writes.
class ProcessRecording {
 public:
  /// `description` has what is known of the process. Throws std::system_error.
  ProcessRecording(std::filesystem::path directory, ProcessDescription description,
                   const BufferSettings& settings, const TickSource& clock, RecordingTotals& totals,
                   std::unique_ptr<RecordingWatcher> watcher = nullptr);
  /// Of a snapshot: `memory` is a copy of the process's buffers. The next call but add_module() is finish().
  ProcessRecording(std::filesystem::path directory, ProcessDescription description, int memory,
                   const TickSource& clock, RecordingTotals& totals);
  ~ProcessRecording();
  ProcessRecording(const ProcessRecording&) = delete;
  ProcessRecording& operator=(const ProcessRecording&) = delete;

  [[nodiscard]] const SharedMemory& memory() const { return memory_; }
  [[nodiscard]] std::int64_t pid() const { return description_.pid; }
  [[nodiscard]] const std::array<std::uint8_t, 16>& uuid() const { return description_.uuid; }

  /// A module with its place in the process; replaces what had the same function numbers.
  void add_module(std::shared_ptr<const ModuleFunctions> functions, const ModuleDescription& place);
  /// A forked child has its parent's modules.
  void inherit_modules(std::vector<LoadedModule> modules);
  [[nodiscard]] const std::vector<LoadedModule>& modules() const { return modules_; }

  /// The process has ended, or recording has. Takes the rest and writes the final description. Once.
  void finish(ProcessEnd end);
  /// Ends the recording in the process, which runs on. Thread-safe.
  void stop(event::DiscardReason reason) { memory_.stop(reason); }

 private:
  struct Stream {
    std::size_t thread = 0;  // index in description_.threads
    int fd = -1;
    std::uint64_t size = 0;
    std::uint64_t discarded = 0;  // by the tool
    bool ended = false;           // the thread; flight mode: its packets may still be there
  };
  static constexpr std::size_t kMaxOpenStreams = 64;

  void run();
  /// Writes at most so many queued packets. False: there were fewer.
  bool drain(std::uint32_t most);
  void write(const ReadyPacket& packet);
  Stream& stream_of(const ReadyPacket& packet);
  Stream& stream_of(std::uint32_t slot, const SlotView& view);
  bool append(Stream& stream, const ReadyPacket& packet);
  void discard(Stream& stream, const ReadyPacket& packet, event::DiscardReason reason);
  void collect_ended_threads();
  void update_thread(std::uint32_t slot, const SlotView& view);
  void forget_overwritten_threads();
  void close_streams();
  /// `last`: all of the process has been read.
  void write_description_now(bool last);
  /// The same if there are modules that have not been written yet.
  void write_new_modules();

  std::filesystem::path directory_;
  ProcessDescription description_;
  const TickSource& clock_;
  RecordingTotals& totals_;
  SharedMemory memory_;
  std::unique_ptr<RecordingWatcher> watcher_;  // null: nobody

  // Guards the next two against the writing thread; only the owner's thread changes them.
  std::mutex modules_mutex_;
  std::vector<LoadedModule> modules_;
  bool modules_changed_ = true;

  std::unordered_map<std::uint64_t, Stream> streams_;             // by slot and incarnation
  std::unordered_map<std::uint32_t, std::uint32_t> occurrences_;  // of each tid
  std::size_t open_streams_ = 0;
  std::size_t ended_streams_ = 0;  // flight mode: of ended threads
  ProcessEnd end_;                 // written before finishing_ is set
  std::atomic<bool> finishing_{false};
  std::thread thread_;
};

}  // namespace calltap::trace
