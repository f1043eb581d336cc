// Calls that a signal handler left by longjmp, the innermost just when its event was written but not yet
// marked as such: only the buffer tells. It must be asked before the memory is used again, which is at one of
// the first events here: the packet is nearly full, and in flight mode a thread whose share is one packet
// overwrites that.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "event/event_layout.h"
#include "isa/native.h"
#include "isa/system.h"
#include "recorder/process.h"
#include "trampoline/code.h"
#include "trampoline/frames.h"

extern "C" void ct_event_slow(calltap::trampoline::CallFrame* frame, std::uint64_t bits);

namespace calltap::trampoline {
namespace {

using event::EventId;
using recorder::Mode;

using Stack = std::array<std::uint64_t, 64>;

enum class Frames { kUpwards, kDownwards };
enum class Interrupted { kAtEntry, kAtExit };

enum Function : std::uint32_t { kOuter = 1, kCut, kInterrupted, kHandler, kJump, kFiller };

std::uint64_t bits_of(Function function, EventId id) {
  return std::uint64_t{function} << 32 | static_cast<std::uint64_t>(id);
}

/// What a trampoline does up to the entry event. `sp` points behind the return slot.
CallFrame* make_frame(std::uint64_t* sp) {
  CallFrame* frame = ct_thread.free;
  if (++frame->owner == 0) {
    ct_thread.free = frame->next;
  } else {
    frame = ct_frame_slow(frame);
  }
  sp[-1] = reinterpret_cast<std::uint64_t>(code().return_points[0]);
  frame->sp = reinterpret_cast<std::uint64_t>(sp);
  frame->parent = ct_thread.top;
  return frame;
}

void become_newest(CallFrame* frame) {
  ct_thread.top = frame;
  frame->age = ++ct_thread.sequence;
}

CallFrame* enter(Function function, std::uint64_t* sp) {
  CallFrame* frame = make_frame(sp);
  become_newest(frame);
  ct_event_slow(frame, bits_of(function, EventId::kEntry));
  return frame;
}

/// The trampoline's fast path up to where the event is in its place, and nothing else is done.
void write_and_stop(CallFrame* frame, Function function, EventId id) {
  std::uint64_t* slot = ct_thread.writer->cursor;
  frame->flags |= CallFrame::kWriting;
  frame->slot = static_cast<std::uint32_t>(reinterpret_cast<std::uint64_t>(slot));
  frame->event = event::compact_event(id, isa::native::read_clock(), function);
  *slot = frame->event;
}

/// When the innermost call was interrupted, and for how many events the packet has room.
class CutOff : public testing::TestWithParam<std::tuple<Interrupted, int>> {
 protected:
  static constexpr std::uint32_t kPackets = 4;

  CutOff() : memory_(std::calloc(1, buffer::total_bytes(kPackets)), &std::free) {
    EXPECT_TRUE(recorder::initialise());
    pool_ = buffer::Pool(memory_.get());
    buffer::Control& c = pool_.control();
    c.on_full = buffer::OnFull::kFlight;
    c.packet_count = kPackets;
    c.packets_per_thread = 1;
    c.packets_offset = buffer::packets_offset(kPackets);
    c.free_bits[0] = (1u << kPackets) - 1;
    recorder::process().pool = pool_;
    recorder::process().mode = Mode::kOn;
  }
  ~CutOff() override { recorder::process().mode = Mode::kOff; }

  /// In a thread of its own, whose calls end with it. Where frames are looked at in the order of addresses it
  /// matters which come first.
  template <class Body>
  void in_thread(Frames order, Body body) {
    std::thread([&] {
      std::vector<CallFrame*> frames;
      Stack stack = {};
      for (int i = 0; i < 12; ++i) frames.push_back(make_frame(&stack[8]));
      std::sort(frames.begin(), frames.end());
      if (order == Frames::kUpwards) std::reverse(frames.begin(), frames.end());
      for (CallFrame* frame : frames) put_free(ct_thread, *frame);
      body();
      const isa::SignalsBlocked blocked;
      abandon_frames(ct_thread);
      release_chunks(ct_thread);
    }).join();
  }

  /// Calls that were cut off, in `stack` or, the handler's, in `handler_stack`. Then the packet is filled.
  void cut_off_calls(std::uint64_t* stack, std::uint64_t* handler_stack) {
    enter(kCut, stack + 40);
    if (is_interrupted_at_entry()) {
      CallFrame* frame = make_frame(stack + 36);
      become_newest(frame);
      write_and_stop(frame, kInterrupted, EventId::kEntry);
    } else {
      write_and_stop(enter(kInterrupted, stack + 36), kInterrupted, EventId::kExit);
    }
    enter(kHandler, handler_stack + 12);
    enter(kJump, handler_stack + 8);
    fill_packet();
  }

  /// The newest frame's link leads astray, as that of a dead frame may.
  static void break_chain() { ct_thread.top->parent = ct_thread.top; }

  void fill_packet() {
    const Writer& w = *ct_thread.writer;
    const isa::SignalsBlocked blocked;
    while (w.cursor + room() != w.sentinel) ct_event_write(bits_of(kFiller, EventId::kEntry));
  }

  static void overwrite_packet() {
    const isa::SignalsBlocked blocked;
    for (int i = 0; i <= room(); ++i) ct_event_write(bits_of(kFiller, EventId::kEntry));
  }

  /// The newest first, each once, but for the one whose exit was written. So many of them were overwritten.
  void expect_unwound_exits(int overwritten = room()) {
    std::vector<std::uint64_t> unwound;
    const Writer& w = *ct_thread.writer;
    const auto* at = reinterpret_cast<const std::uint64_t*>(&pool_.header(w.packet) + 1);
    for (; at < w.cursor; ++at) {
      if ((*at & 31) == static_cast<std::uint64_t>(EventId::kUnwound)) unwound.push_back(*at >> 32);
    }
    std::vector<std::uint64_t> expected = {kJump, kHandler};
    if (is_interrupted_at_entry()) expected.push_back(kInterrupted);
    expected.push_back(kCut);
    expected.erase(expected.begin(), expected.begin() + overwritten);
    EXPECT_EQ(unwound, expected);
  }

 private:
  static bool is_interrupted_at_entry() { return std::get<0>(GetParam()) == Interrupted::kAtEntry; }
  static int room() { return std::get<1>(GetParam()); }

  std::unique_ptr<void, decltype(&std::free)> memory_;
  buffer::Pool pool_;
};

TEST_P(CutOff, SeenByTheCallersExit) {
  in_thread(Frames::kDownwards, [&] {
    Stack stack = {};
    CallFrame* outer = enter(kOuter, &stack[60]);
    cut_off_calls(stack.data(), stack.data());
    ct_exit_slow(outer);
    expect_unwound_exits();
  });
}

TEST_P(CutOff, SeenByTheNextCall) {
  in_thread(Frames::kDownwards, [&] {
    Stack stack = {};
    enter(kOuter, &stack[60]);
    cut_off_calls(stack.data(), stack.data());
    ct_stack_slow(make_frame(&stack[50]));
    expect_unwound_exits();
  });
}

TEST_P(CutOff, OffTheChain) {
  in_thread(Frames::kUpwards, [&] {
    Stack stack = {};
    CallFrame* outer = enter(kOuter, &stack[60]);
    cut_off_calls(stack.data(), stack.data());
    break_chain();
    ct_exit_slow(outer);
    expect_unwound_exits();
  });
}

TEST_P(CutOff, OnAnIdleSignalStack) {
  in_thread(Frames::kDownwards, [&] {
    Stack stack = {};
    const std::unique_ptr<std::uint64_t[]> signal_stack(new std::uint64_t[8192]);
    const stack_t alternate = {.ss_sp = signal_stack.get(), .ss_flags = 0, .ss_size = 65536};
    ASSERT_EQ(::sigaltstack(&alternate, nullptr), 0);
    enter(kOuter, &stack[60]);
    cut_off_calls(stack.data(), signal_stack.get());
    ct_stack_slow(make_frame(&stack[50]));
    expect_unwound_exits();
    const stack_t none = {.ss_sp = nullptr, .ss_flags = SS_DISABLE, .ss_size = 0};
    ::sigaltstack(&none, nullptr);
  });
}

TEST_P(CutOff, FoundDeadWhenFramesRunOut) {
  in_thread(Frames::kDownwards, [&] {
    Stack stack = {};
    Stack elsewhere = {};
    enter(kOuter, &stack[60]);
    cut_off_calls(stack.data(), stack.data());
    break_chain();
    const std::uint64_t before = frame_capacity(ct_thread);
    std::fill_n(stack.begin(), 50, 0);
    for (std::uint64_t i = 0; i < before; ++i) make_frame(&elsewhere[8]);
    expect_unwound_exits();
  });
}

TEST_P(CutOff, OnAnotherStackAndFoundLater) {
  in_thread(Frames::kDownwards, [&] {
    const auto stack = std::make_unique<Stack>();
    Stack own = {};
    CallFrame* outer = enter(kOuter, &(*stack)[60]);
    cut_off_calls(stack->data(), stack->data());
    ct_exit_slow(outer);
    ct_thread.top = outer->parent;
    put_free(ct_thread, *outer);
    overwrite_packet();
    const std::uint64_t before = frame_capacity(ct_thread);
    stack->fill(0);
    for (std::uint64_t i = 0; i < before; ++i) make_frame(&own[8]);
    expect_unwound_exits(0);
  });
}

TEST_P(CutOff, LeftByTheThread) {
  in_thread(Frames::kDownwards, [&] {
    Stack stack = {};
    cut_off_calls(stack.data(), stack.data());
    break_chain();
    const isa::SignalsBlocked blocked;
    abandon_frames(ct_thread);
    expect_unwound_exits();
  });
}

INSTANTIATE_TEST_SUITE_P(, CutOff,
                         testing::Combine(testing::Values(Interrupted::kAtEntry, Interrupted::kAtExit),
                                          testing::Values(0, 1, 2)),
                         [](const auto& test) {
                           const bool entry = std::get<0>(test.param) == Interrupted::kAtEntry;
                           return (entry ? "AtEntry" : "AtExit") + std::to_string(std::get<1>(test.param));
                         });

}  // namespace
}  // namespace calltap::trampoline
