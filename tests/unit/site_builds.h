// Builds small programs with the compilers of this machine, for tests that read what compilers really write.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace calltap::site {

/// A directory that is removed with everything in it.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory();
  [[nodiscard]] std::string path(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

/// Runs a shell command; fails the test if its status is not 0. Returns what it printed.
std::string run(const std::string& command);

/// "g++" or "clang++", as CMake found it; empty if there is none.
std::string compiler(const std::string& name);

/// The source of the test program (site_program.cpp).
std::string program_source();

std::vector<std::uint8_t> read_bytes(const std::string& path);

/// Link addresses of the functions named demo_* (clang mangles the static one), as binutils' nm reads them.
std::map<std::string, std::uint64_t> demo_functions(const std::string& path);

}  // namespace calltap::site
