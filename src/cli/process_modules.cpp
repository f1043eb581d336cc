// modules_of_process(): /proc/PID/maps and the files behind it.
#include <elf.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <vector>

#include "cli/module_sources.h"

namespace calltap::cli {
namespace {

struct Mapping {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint64_t offset = 0;
  std::uint64_t inode = 0;
  bool executable = false;
  std::string path;
};

std::optional<Mapping> parse_mapping(const std::string& line) {
  Mapping mapping;
  char permissions[5] = {};
  unsigned long begin = 0;
  unsigned long end = 0;
  unsigned long offset = 0;
  unsigned long inode = 0;
  int path_at = 0;
  const int fields = std::sscanf(line.c_str(), "%lx-%lx %4s %lx %*x:%*x %lu %n", &begin, &end, permissions,
                                 &offset, &inode, &path_at);
  if (fields != 5 || inode == 0 || static_cast<std::size_t>(path_at) >= line.size()) return std::nullopt;
  mapping.begin = begin;
  mapping.end = end;
  mapping.offset = offset;
  mapping.inode = inode;
  mapping.executable = permissions[2] == 'x';
  mapping.path = line.substr(static_cast<std::size_t>(path_at));
  return mapping;
}

/// One mapping of every file that has an executable one, in address order.
std::vector<Mapping> executable_files(int pid) {
  std::ifstream maps(fmt::format("/proc/{}/maps", pid));
  if (!maps && errno == ENOENT) throw SourceError(fmt::format("process {}: no such process", pid));
  if (!maps) throw SourceError(fmt::format("process {}: {}", pid, std::strerror(errno)));
  std::map<std::pair<std::string, std::uint64_t>, std::size_t> seen;
  std::vector<Mapping> files;
  std::size_t lines = 0;
  for (std::string line; std::getline(maps, line); ++lines) {
    auto mapping = parse_mapping(line);
    if (!mapping || !mapping->executable) continue;
    if (seen.try_emplace({mapping->path, mapping->inode}, files.size()).second)
      files.push_back(std::move(*mapping));
  }
  // Reading another user's maps fails only here, or gives nothing at all.
  if (lines == 0)
    throw SourceError(fmt::format("process {}: its memory map cannot be read (not yours?)", pid));
  return files;
}

constexpr std::string_view kDeleted = " (deleted)";

/// A way to open exactly the mapped file. map_files needs privilege; a name that is not marked as deleted
/// still is that file's, also in a container.
std::string openable(int pid, const Mapping& mapping) {
  struct stat status = {};
  std::string by_map = fmt::format("/proc/{}/map_files/{:x}-{:x}", pid, mapping.begin, mapping.end);
  if (::stat(by_map.c_str(), &status) == 0) return by_map;
  if (!mapping.path.ends_with(kDeleted)) return fmt::format("/proc/{}/root{}", pid, mapping.path);
  std::error_code error;
  std::string executable = fmt::format("/proc/{}/exe", pid);
  if (std::filesystem::read_symlink(executable, error) == mapping.path) return executable;
  throw SourceError(fmt::format("{}: cannot be opened without privilege", mapping.path));
}

/// From the segment that the mapping begins with.
std::uint64_t load_bias(const site::ElfFile& file, const Mapping& mapping) {
  constexpr std::uint64_t kPageMask = ~std::uint64_t{4095};
  if (file.is_fixed_position()) return 0;
  for (const site::Segment& segment : file.segments()) {
    if (segment.type != PT_LOAD || (segment.file_offset & kPageMask) != mapping.offset) continue;
    return mapping.begin - (segment.address.value & kPageMask);
  }
  throw SourceError(
      fmt::format("{}: no segment of the file is mapped at {:#x}", mapping.path, mapping.begin));
}

}  // namespace

ModuleSources modules_of_process(int pid) {
  ModuleSources sources;
  for (const Mapping& mapping : executable_files(pid)) {
    try {
      auto file = site::ElfFile::open(openable(pid, mapping).c_str());
      if (!file) throw SourceError(fmt::format("{}: {}", mapping.path, base::text(file.error().code)));
      const std::uint64_t bias = load_bias(*file, mapping);
      std::string path = mapping.path;
      if (path.ends_with(kDeleted)) path.resize(path.size() - kDeleted.size());
      std::string name = std::filesystem::path(path).filename().string();
      sources.modules.push_back({std::move(path), std::move(name), std::move(*file), bias});
    } catch (const SourceError& error) {
      sources.problems.emplace_back(error.what());
    }
  }
  if (sources.modules.empty()) {
    throw SourceError(sources.problems.empty() ? fmt::format("process {} has no code from files", pid)
                                               : sources.problems[0]);
  }
  return sources;
}

}  // namespace calltap::cli
