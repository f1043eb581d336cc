#include "site_builds.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

namespace calltap::site {

TemporaryDirectory::TemporaryDirectory()
    : path_(std::filesystem::temp_directory_path() / "calltap-test-XXXXXX") {
  if (::mkdtemp(path_.data()) == nullptr) ADD_FAILURE() << "cannot make " << path_;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string run(const std::string& command) {
  std::FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) {
    ADD_FAILURE() << "cannot run " << command;
    return {};
  }
  std::string output;
  std::array<char, 4096> buffer;
  for (std::size_t n = 0; (n = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) {
    output.append(buffer.data(), n);
  }
  EXPECT_EQ(::pclose(pipe), 0) << command << "\n" << output;
  return output;
}

std::string compiler(const std::string& name) {
  const std::string path = name == "g++" ? CALLTAP_TEST_GXX : CALLTAP_TEST_CLANGXX;
  return path.ends_with("NOTFOUND") ? std::string() : path;
}

std::string program_source() { return CALLTAP_TEST_SOURCES "/site_program.cpp"; }

std::vector<std::uint8_t> read_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.is_open()) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

std::map<std::string, std::uint64_t> demo_functions(const std::string& path) {
  std::map<std::string, std::uint64_t> functions;
  std::istringstream lines(run("nm --defined-only " + path));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string address, type, name;  // clang's labels of RISC-V entries have no name
    words >> address >> type >> name;
    if (name.find("demo_") != std::string::npos) functions[name] = std::stoull(address, nullptr, 16);
  }
  return functions;
}

}  // namespace calltap::site
