#include "inject/process_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>

namespace calltap::inject {
namespace {

StatusFields read_status(const std::string& path) {
  StatusFields fields;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::size_t value = line.find_first_not_of(" \t", colon + 1);
    fields[line.substr(0, colon)] = value == std::string::npos ? "" : line.substr(value);
  }
  return fields;
}

}  // namespace

std::vector<Mapping> mappings_of(pid_t pid) {
  std::vector<Mapping> mappings;
  std::ifstream maps(fmt::format("/proc/{}/maps", pid));
  for (std::string line; std::getline(maps, line);) {
    Mapping mapping;
    std::array<char, 5> permissions{};
    unsigned long begin = 0;
    unsigned long end = 0;
    unsigned long offset = 0;
    int path_at = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx %4s %lx %*x:%*x %*u %n", &begin, &end, permissions.data(), &offset,
                    &path_at) != 4)
      continue;
    mapping.begin = begin;
    mapping.end = end;
    mapping.offset = offset;
    mapping.readable = permissions[0] == 'r';
    mapping.writable = permissions[1] == 'w';
    mapping.executable = permissions[2] == 'x';
    mapping.path = line.substr(std::min<std::size_t>(static_cast<std::size_t>(path_at), line.size()));
    mappings.push_back(std::move(mapping));
  }
  return mappings;
}

const Mapping* find_mapping(const std::vector<Mapping>& mappings, std::uint64_t address) {
  auto after = std::upper_bound(mappings.begin(), mappings.end(), address,
                                [](std::uint64_t value, const Mapping& m) { return value < m.end; });
  return after != mappings.end() && after->begin <= address ? &*after : nullptr;
}

StatusFields status_of(pid_t pid) { return read_status(fmt::format("/proc/{}/status", pid)); }

StatusFields status_of(pid_t pid, pid_t thread) {
  return read_status(fmt::format("/proc/{}/task/{}/status", pid, thread));
}

std::vector<pid_t> threads_of(pid_t pid) {
  std::vector<pid_t> threads;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(fmt::format("/proc/{}/task", pid), error))
    threads.push_back(static_cast<pid_t>(std::strtol(entry.path().filename().c_str(), nullptr, 10)));
  std::sort(threads.begin(), threads.end());
  return threads;
}

std::optional<WaitingCall> waiting_call_of(pid_t pid, pid_t thread) {
  std::ifstream file(fmt::format("/proc/{}/task/{}/syscall", pid, thread));
  WaitingCall call;
  if (!(file >> call.number)) return std::nullopt;  // "running"
  if (call.number >= 0) {
    file >> std::hex;
    for (std::uint64_t& argument : call.arguments) {
      std::string word;
      file >> word;
      argument = std::strtoull(word.c_str(), nullptr, 16);
    }
  }
  return call;
}

std::uint64_t times_scheduled(pid_t pid, pid_t thread) {
  std::ifstream file(fmt::format("/proc/{}/task/{}/schedstat", pid, thread));
  std::uint64_t ran = 0;
  std::uint64_t waited = 0;
  std::uint64_t times = 0;
  file >> ran >> waited >> times;
  return times;
}

}  // namespace calltap::inject
