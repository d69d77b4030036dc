// A file comes back whole, or with an error that says which file and why not.
#include "base/file.h"

#include <gtest/gtest.h>

#include <fstream>

namespace sis {
namespace {

TEST(ReadFile, WholeOrWhyNot) {
  const auto folder = std::filesystem::temp_directory_path() / "sis-read-file-test";
  std::filesystem::create_directories(folder);
  const auto path = folder / "file";
  const std::string bytes("a\0\r\nb", 5);
  std::ofstream(path, std::ios::binary) << bytes;
  const auto whole = read_file(path, 5);
  ASSERT_TRUE(whole.ok()) << whole.error().message;
  EXPECT_EQ(*whole, bytes);
  EXPECT_EQ(read_file(path, 4).error().code, Code::kTooLarge);
  EXPECT_EQ(read_file(path, 4).error().message, path.string() + ": 5 bytes, want at most 4");
  EXPECT_EQ(read_file(folder / "other", 5).error().code, Code::kNotFound);
  EXPECT_EQ(read_file(folder, 5).error().code, Code::kInvalidArgument);
  std::ofstream(path, std::ios::trunc).close();
  EXPECT_EQ(*read_file(path, 0), "");
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace sis
