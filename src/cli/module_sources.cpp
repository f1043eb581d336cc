#include "cli/module_sources.h"

#include <elf.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <set>
#include <sstream>
#include <utility>

#include "cli/loader_libraries.h"
#include "trace/session.h"
#include "trace/trace_error.h"

namespace calltap::cli {
namespace {

namespace fs = std::filesystem;

std::string message_of(const base::Error& error) {
  if (error.system_error != 0) {
    return fmt::format("{}: {}", base::text(error.code), std::strerror(error.system_error));
  }
  return std::string(base::text(error.code));
}

/// Throws SourceError.
SourceModule open_module(const std::string& path, const std::string& open_path) {
  auto file = site::ElfFile::open(open_path.c_str());
  if (!file) throw SourceError(fmt::format("{}: {}", path, message_of(file.error())));
  return {path, fs::path(path).filename().string(), std::move(*file), 0};
}

std::string find_program(const std::string& program) {
  std::error_code error;
  const char* path = std::getenv("PATH");
  if (program.find('/') != std::string::npos || fs::exists(program, error) || path == nullptr) return program;
  std::istringstream directories(path);
  for (std::string directory; std::getline(directories, directory, ':');) {
    std::string candidate = fmt::format("{}/{}", directory.empty() ? "." : directory, program);
    if (::access(candidate.c_str(), X_OK) == 0 && fs::is_regular_file(candidate, error)) return candidate;
  }
  return program;
}

}  // namespace

std::string hex(std::span<const std::uint8_t> bytes) { return fmt::format("{:02x}", fmt::join(bytes, "")); }

bool is_static_program(const site::ElfFile& file) {
  if (!file.interpreter().empty()) return false;
  if (file.is_fixed_position()) return true;
  for (const site::Segment& segment : file.segments()) {
    if (segment.type != PT_DYNAMIC) continue;
    const auto bytes = file.at(segment.address, segment.file_size);
    for (std::size_t at = 0; at + sizeof(Elf64_Dyn) <= bytes.size(); at += sizeof(Elf64_Dyn)) {
      Elf64_Dyn entry;
      std::memcpy(&entry, bytes.data() + at, sizeof entry);
      if (entry.d_tag == DT_FLAGS_1 && (entry.d_un.d_val & DF_1_PIE) != 0) return true;
    }
  }
  return false;
}

std::string describe_static(const std::string& path) {
  return fmt::format(
      "{}: statically linked, so it cannot be recorded: the runtime is a shared library, and there is no "
      "dynamic "
      "loader to load it; link the program dynamically",
      path);
}

ModuleSources modules_of_program(const std::string& program, bool libraries) {
  ModuleSources sources;
  const std::string path = find_program(program);
  sources.modules.push_back(open_module(path, path));
  if (!libraries) return sources;
  const std::string interpreter(sources.modules[0].file.interpreter());
  for (const std::string& library : loader_libraries(interpreter, path)) {
    try {
      sources.modules.push_back(open_module(library, library));
    } catch (const SourceError& error) {
      sources.problems.emplace_back(error.what());
    }
  }
  return sources;
}

ModuleSources modules_of_recording(const std::string& directory) {
  ModuleSources sources;
  std::set<std::pair<std::string, std::string>> seen;
  trace::Session session;
  try {
    session = trace::open_session(directory);
  } catch (const trace::TraceError& error) {
    throw SourceError(error.what());
  }
  sources.problems = session.problems;
  for (const trace::ProcessTrace& process : session.processes) {
    for (const trace::ModuleDescription& module : process.description.modules) {
      if (module.site_count == 0 || !seen.emplace(module.path, module.build_id).second) continue;
      try {
        SourceModule opened = open_module(module.path, module.path);
        if (hex(opened.file.build_id()) != module.build_id) {
          throw SourceError(
              fmt::format("{}: not the file that was recorded (build-id differs)", module.path));
        }
        opened.load_bias = module.load_bias;
        sources.modules.push_back(std::move(opened));
      } catch (const SourceError& error) {
        sources.problems.emplace_back(error.what());
      }
    }
  }
  if (sources.modules.empty() && !sources.problems.empty()) throw SourceError(sources.problems[0]);
  return sources;
}

}  // namespace calltap::cli
