// Linked into the XRay builds: what PEER_XRAY says.
//
//   noop     a handler that does nothing, on everywhere
//   count    a handler that counts entries; the number goes to the file in PEER_CALLS
//   fdr      the flight data recorder, thresholds 0, with room for 1 GiB, to a file whose name begins with
//            xray_logfile_base of XRAY_OPTIONS
//   toggle   everything on and off PEER_ROUNDS times; milliseconds go to the file in PEER_TOGGLE, one pair a
//   line
//
// The basic mode needs nothing of this: XRAY_OPTIONS turns it on. The flight data recorder writes its file
// only when it is asked to. Linked before run_cost.c and so around it: what happens here is not part of the
// run's time.
#include <xray/xray_interface.h>
#include <xray/xray_log_interface.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "thread_counts.h"

namespace {

void noop(int32_t /*function*/, XRayEntryType /*type*/) {}

void count(int32_t /*function*/, XRayEntryType type) {
  if (type == ENTRY) count_call();
}

double milliseconds() {
  timespec t = {};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_nsec) / 1e6;
}

void toggle() {
  const char* rounds = getenv("PEER_ROUNDS");
  FILE* out = fopen(getenv("PEER_TOGGLE"), "w");
  if (out == nullptr || rounds == nullptr) exit(1);
  for (int i = 0; i < atoi(rounds); ++i) {
    const double start = milliseconds();
    if (__xray_patch() != SUCCESS) exit(1);
    const double middle = milliseconds();
    if (__xray_unpatch() != SUCCESS) exit(1);
    fprintf(out, "%.4f %.4f\n", middle - start, milliseconds() - middle);
  }
  fclose(out);
}

// Large buffers, one for each thread: with many small ones its own tool does not put the calls together
// again.
void start_flight_recorder() {
  const char* configuration = "func_duration_threshold_us=0:buffer_size=67108864:buffer_max=16";
  if (__xray_log_select_mode("xray-fdr") != XRAY_REGISTRATION_OK) exit(1);
  if (__xray_log_init_mode("xray-fdr", configuration) != XRAY_LOG_INITIALIZED) exit(1);
}

bool mode_is(const char* name) {
  const char* mode = getenv("PEER_XRAY");
  return mode != nullptr && strcmp(mode, name) == 0;
}

}  // namespace

__attribute__((constructor)) static void begin() {
  if (getenv("PEER_XRAY") == nullptr) return;
  __xray_init();
  if (mode_is("fdr")) {
    start_flight_recorder();
  } else {
    __xray_set_handler(mode_is("count") ? count : noop);
  }
  if (mode_is("toggle")) {
    toggle();
  } else if (__xray_patch() != SUCCESS) {
    exit(1);
  }
}

__attribute__((destructor)) static void finish() {
  if (mode_is("count")) write_calls();
  if (!mode_is("fdr")) return;
  __xray_unpatch();
  __xray_log_finalize();
  __xray_log_flushLog();
}
