#include <gtest/gtest.h>

#include <set>
#include <string>

#include "base/array.h"
#include "base/error.h"
#include "base/file_map.h"

namespace calltap::base {
namespace {

TEST(Error, EveryCodeHasItsOwnText) {
  std::set<std::string_view> texts;
  for (unsigned i = 0; i < static_cast<unsigned>(ErrorCode::kCount); ++i) {
    texts.insert(text(static_cast<ErrorCode>(i)));
  }
  EXPECT_EQ(texts.size(), static_cast<std::size_t>(ErrorCode::kCount));
}

TEST(Error, MismatchShowsAddressAndBytes) {
  const std::uint8_t expected[] = {0x90, 0x90};
  const std::uint8_t found[] = {0xcc, 0x90};
  char buffer[128];
  const std::size_t n = describe(Error::mismatch(0x1234, expected, found), buffer);
  EXPECT_EQ(std::string(buffer, n),
            "the code is not what it should be, refusing to write at 0x1234: expected 90 90, found cc 90");
}

TEST(Error, DescribeTruncatesToTheBuffer) {
  char buffer[8];
  EXPECT_EQ(describe(Error(ErrorCode::kNotElf), buffer), 7u);
  EXPECT_STREQ(buffer, "not an ");
}

TEST(Array, GrowsAndKeepsItsElements) {
  Array<int> a;
  for (int i = 0; i < 100000; ++i) ASSERT_TRUE(a.push_back(i));
  for (int i = 0; i < 100000; ++i) ASSERT_EQ(a[static_cast<std::size_t>(i)], i);
}

TEST(Array, PushBackOfItsOwnElementWhileGrowing) {
  Array<int> a;
  ASSERT_TRUE(a.push_back(7));
  while (a.size() < a.capacity()) ASSERT_TRUE(a.push_back(1));
  ASSERT_TRUE(a.push_back(a[0]));
  EXPECT_EQ(a.back(), 7);
}

TEST(FileMap, MissingFileAndDirectoryAreErrors) {
  EXPECT_EQ(FileMap::open("/nonexistent/file").error().code, ErrorCode::kFileOpen);
  EXPECT_EQ(FileMap::open("/").error().code, ErrorCode::kFileRead);
}

}  // namespace
}  // namespace calltap::base
