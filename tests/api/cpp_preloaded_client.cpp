// A client for programs that know nothing of Calltap: LD_PRELOAD=client.so program.
#include <atomic>
#include <cstdio>

#include "calltap/calltap.hpp"

namespace {

std::atomic<unsigned> calls{0};

struct Client {
  Client() {
    if (auto done = callback->set_filter("counted_*"); !done) std::puts(done.error().text());
    if (auto done = callback->attach(); !done) std::puts(done.error().text());
  }
  ~Client() {
    const bool detached = callback->detach().has_value();
    std::printf("%u calls seen, %s\n", calls.load(), detached ? "detached" : "still attached");
  }
  calltap::Expected<calltap::Callback> callback =
      calltap::Callback::make([](calltap::EntryRegs) { ++calls; });
};

const Client client;

}  // namespace
