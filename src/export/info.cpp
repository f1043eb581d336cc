#include "export/info.h"

namespace calltap::export_ {

Info make_info(const trace::Session& session) {
  Info info;
  for (const trace::ProcessTrace& process : session.processes) {
    ProcessInfo described;
    described.process = &process;
    for (const trace::StreamFile& stream : process.streams) {
      trace::StreamReader reader = process.open(stream);
      while (reader.next_packet()) reader.each_event([](const trace::Event&) {});
      info.reading.add(stream, reader, 0);
      described.threads.push_back({&stream, reader.counts(), reader.damage(), reader.offset()});
    }
    info.processes.push_back(std::move(described));
  }
  return info;
}

}  // namespace calltap::export_
