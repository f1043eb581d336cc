// Makes one call: call_in PID LIBRARY SONAME FUNCTION ARGUMENT [TIMEOUT_MS]. Prints "value loaded
// stopped-in-ns", or "error: ..." and exits 1. With CALLTAP_KILL_AT=N it kills itself before its Nth request
// to the kernel, and with CALLTAP_RUN_AT=N and CALLTAP_RUN=COMMAND it runs a command there; CALLTAP_COUNT=1
// prints how many requests there were.
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "inject/inject.h"
#include "inject/testpoint.h"

namespace {

long requests = 0;
long kill_at = -1;
long run_at = -1;

long number(const char* variable) {
  const char* value = std::getenv(variable);
  return value == nullptr ? -1 : std::strtol(value, nullptr, 10);
}

void count(const char*) {
  ++requests;
  if (requests == kill_at) ::raise(SIGKILL);
  if (requests == run_at && std::system(std::getenv("CALLTAP_RUN")) != 0) std::abort();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 6) return 2;
  kill_at = number("CALLTAP_KILL_AT");
  run_at = number("CALLTAP_RUN_AT");
  calltap::inject::testpoint = count;
  calltap::inject::Request request;
  request.pid = static_cast<pid_t>(std::strtol(argv[1], nullptr, 10));
  request.library = argv[2];
  request.soname = argv[3];
  request.function = argv[4];
  request.argument = std::strtoull(argv[5], nullptr, 10);
  if (argc > 6) request.timeout = std::chrono::milliseconds(std::strtol(argv[6], nullptr, 10));
  try {
    const calltap::inject::Result result = calltap::inject::call_in(request);
    std::printf("%llu %s %lld\n", static_cast<unsigned long long>(result.value),
                result.was_loaded ? "known" : "new", static_cast<long long>(result.stopped.count()));
  } catch (const calltap::inject::InjectError& error) {
    std::printf("error: %s\n", error.what());
    return 1;
  }
  if (number("CALLTAP_COUNT") == 1) std::printf("%ld requests\n", requests);
  return 0;
}
