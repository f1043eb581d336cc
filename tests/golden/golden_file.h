// The comparison of a drawing with the file that a person has read.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

namespace calltap::test {

/// `name` is relative to tests/golden.
inline void compare_with_file(const std::string& drawing, const std::string& name) {
  const std::string path = std::string(CALLTAP_GOLDEN_DIRECTORY) + "/" + name;
  if (std::getenv("CALLTAP_UPDATE_GOLDEN") != nullptr) std::ofstream(path) << drawing;
  std::ifstream file(path);
  ASSERT_TRUE(file) << path;
  std::stringstream expected;
  expected << file.rdbuf();
  EXPECT_EQ(drawing, expected.str());
}

}  // namespace calltap::test
