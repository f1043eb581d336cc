#include "trace_synthetic.h"

#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace calltap::test {

using event::EventId;

namespace {

constexpr std::array<std::uint8_t, 16> kUuid = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
                                                0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe};

void require(std::error_code error) {
  if (error) throw std::system_error(error);
}

}  // namespace

SyntheticStream::SyntheticStream(std::uint32_t tid, std::uint64_t begin)
    : tid_(tid), begin_(begin), time_(begin) {}

void SyntheticStream::begin_packet() {
  if (open_) return;
  open_ = true;
  begin_ = time_;
  words_.clear();
}

void SyntheticStream::make_room(std::size_t words) {
  constexpr std::size_t kMaxWords = (event::kPacketBytes - sizeof(event::PacketHeader)) / 8;
  if (words_.size() + words > kMaxWords) end_packet();
}

SyntheticStream& SyntheticStream::event(EventId id, std::uint32_t function, std::uint64_t time) {
  make_room(2);
  // As the recorder does: the first packet, and one behind a gap, begins with its first event.
  if (!open_ && (bytes_.empty() || gap_)) time_ = time;
  gap_ = false;
  begin_packet();
  if (time - time_ > event::kTimeMask) return extended(id, function, time);
  words_.push_back(event::compact_event(id, time, function));
  time_ = time;
  return *this;
}

SyntheticStream& SyntheticStream::extended(EventId id, std::uint32_t function, std::uint64_t time) {
  begin_packet();
  const event::ExtendedEvent bytes = event::extended_event(id, time, function);
  words_.push_back(bytes.low);
  words_.push_back(bytes.high);
  time_ = time;
  return *this;
}

SyntheticStream& SyntheticStream::with_words(EventId id, std::uint32_t function, std::uint64_t time,
                                             std::uint32_t layout, const std::vector<std::uint64_t>& words) {
  make_room(3 + words.size());
  event(id, function, time);
  words_.push_back(event::words_header(static_cast<std::uint32_t>(words.size()), layout));
  words_.insert(words_.end(), words.begin(), words.end());
  return *this;
}

SyntheticStream& SyntheticStream::word(std::uint64_t value) {
  begin_packet();
  words_.push_back(value);
  return *this;
}

SyntheticStream& SyntheticStream::end_packet(std::size_t padded_bytes) {
  if (!open_) return *this;
  const std::size_t content = sizeof(event::PacketHeader) + words_.size() * 8;
  const std::size_t size = std::max(content, padded_bytes);
  event::PacketHeader header{};
  header.magic = event::kCtfMagic;
  std::memcpy(header.uuid, kUuid.data(), kUuid.size());
  header.timestamp_begin = begin_;
  header.timestamp_end = time_;
  header.content_bits = content * 8;
  header.packet_bits = size * 8;
  header.sequence = sequence_++;
  header.discarded = discarded_;
  header.tid = tid_;
  const std::size_t at = bytes_.size();
  bytes_.resize(at + size);
  std::memcpy(&bytes_[at], &header, sizeof header);
  std::memcpy(&bytes_[at] + sizeof header, words_.data(), words_.size() * 8);
  open_ = false;
  words_.clear();
  return *this;
}

SyntheticStream& SyntheticStream::lose_packet() {
  words_.clear();
  open_ = false;
  gap_ = true;
  ++sequence_;
  return *this;
}

SyntheticStream& SyntheticStream::discarded(std::uint64_t total) {
  discarded_ = total;
  gap_ = true;
  return *this;
}

std::string& SyntheticStream::bytes() {
  end_packet();
  return bytes_;
}

trace::ProcessDescription synthetic_description(const std::vector<std::string>& function_names) {
  trace::ProcessDescription p;
  p.tool_version = "0.1.0";
  p.pid = 4711;
  p.parent_pid = 4710;
  p.name = "program";
  p.executable = "/opt/program";
  p.command_line = {"program", "--fast"};
  p.uuid = kUuid;
  p.host = {"testhost", "6.1.0", "x86_64", "5ab22e20-3a34-4b6e-9c0d-7a2f1a2b3c4d", 2};
  p.start_realtime_ns = 1'700'000'000'000'000'000;
  p.clock = {1'000'000'000, 1'000, 5'000'000'000, 1'700'000'000'000'000'000};
  p.end = {trace::EndKind::kExited, 0};
  const auto count = static_cast<std::uint32_t>(function_names.size());
  p.modules.push_back(
      {"/opt/program", "00112233445566778899aabbccddeeff00112233", 0x555500000000, 1, count, count, 0});
  for (std::uint32_t i = 0; i < count; ++i) {
    p.functions.push_back({i + 1, 0, 0x1000 + 16ULL * i, function_names[i], "_Z" + std::to_string(i), {}});
  }
  p.buffer_bytes = 8 << 20;
  return p;
}

void add_thread(trace::ProcessDescription& process, std::uint32_t tid, const std::string& name) {
  process.threads.push_back({tid, 1, name, trace::stream_name(tid, 1), {}});
}

TemporaryDirectory::TemporaryDirectory() {
  std::string pattern = (std::filesystem::temp_directory_path() / "calltap-test-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp");
  path_ = pattern;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void write_bytes(const std::filesystem::path& file, const std::string& bytes) {
  std::ofstream(file, std::ios::binary) << bytes;
}

std::string read_bytes(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::filesystem::path write_process(const std::filesystem::path& session,
                                    const trace::ProcessDescription& process) {
  trace::SessionDescription description;
  description.tool_version = process.tool_version;
  description.command = process.command_line;
  description.start_realtime_ns = process.start_realtime_ns;
  description.closed = true;
  require(trace::write_session(session, description));
  std::filesystem::path directory;
  require(trace::create_process_directory(session, process.name, process.pid, directory));
  require(trace::write_description(directory, process));
  return directory;
}

}  // namespace calltap::test
