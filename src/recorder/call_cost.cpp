#include "recorder/call_cost.h"

#include <algorithm>
#include <cstddef>

#include "event/event_layout.h"
#include "isa/system.h"
#include "recorder/process.h"
#include "trampoline/code.h"
#include "trampoline/frames.h"
#include "trampoline/state.h"

extern "C" {
// Per architecture, call_record.S.
__attribute__((visibility("hidden"))) void ct_call_record(const calltap::trampoline::SiteRecord* record,
                                                          std::uint64_t count);
__attribute__((visibility("hidden"))) void ct_do_nothing();
}

namespace calltap::recorder {
namespace {

using trampoline::SiteRecord;
using trampoline::Writer;

constexpr std::size_t kRounds = 5;
constexpr std::size_t kPackets = 16;  // 1 MiB
constexpr std::size_t kPacketWords = event::kPacketBytes / sizeof(std::uint64_t);
constexpr std::uint64_t kCalls = kPacketWords / 2 - 1;  // one word is left: it is never zero

/// With the packet's share of what a new one takes.
std::uint64_t time_of_packet(const SiteRecord& record, Writer& writer, std::uint64_t* packet) {
  const std::uint64_t begin = isa::native::read_clock();
  __builtin_memset(packet, 0, event::kPacketBytes);
  packet[kPacketWords - 1] = ~std::uint64_t{0};
  writer.cursor = packet;
  writer.last_time = begin;
  ct_call_record(&record, kCalls);
  return isa::native::read_clock() - begin;
}

std::uint64_t median(std::uint64_t (&samples)[kRounds]) {
  std::sort(samples, samples + kRounds);
  return samples[kRounds / 2];
}

/// For its life the slow path writes nothing, whatever leads to it: an event is late where the thread was
/// suspended for long.
class NoRecording {
 public:
  NoRecording() : before_(process().mode.exchange(Mode::kOff, std::memory_order_seq_cst)) {}
  ~NoRecording() { process().mode.store(before_, std::memory_order_seq_cst); }
  NoRecording(const NoRecording&) = delete;
  NoRecording& operator=(const NoRecording&) = delete;

 private:
  Mode before_;
};

}  // namespace

std::uint64_t measure_call_cost() {
  constexpr std::size_t kBytes = kPackets * event::kPacketBytes;
  auto* const packets = static_cast<std::uint64_t*>(isa::map_memory(kBytes));
  if (packets == nullptr) return 0;
  __builtin_memset(packets, 0xff, kBytes);
  const isa::SignalsBlocked blocked;
  const NoRecording nobody_writes;
  trampoline::start_thread(ct_thread);
  SiteRecord recorded;
  recorded.handler = trampoline::code().recorder;
  recorded.target = reinterpret_cast<std::uint64_t>(ct_do_nothing);
  recorded.entry = recorded.target;
  recorded.event_bits = std::uint64_t{1} << 32 | static_cast<std::uint64_t>(event::EventId::kEntry);
  Writer writer = {};
  Writer* const own = ct_thread.writer;
  ct_thread.writer = &writer;
  std::uint64_t samples[kRounds];
  for (std::size_t round = 0; round < kRounds; ++round) {
    samples[round] = time_of_packet(recorded, writer, packets + round * kPacketWords);
  }
  ct_thread.writer = own;
  isa::unmap_memory(packets, kBytes);
  return median(samples) * 1000 / kCalls;
}

}  // namespace calltap::recorder
