#include "base/dotenv.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace sis {
namespace {

std::vector<std::pair<std::string, std::string>> pairs(std::string_view text) {
  const auto entries = parse_dotenv(text, "env");
  EXPECT_TRUE(entries.ok()) << (entries.ok() ? "" : entries.error().message);
  std::vector<std::pair<std::string, std::string>> out;
  if (entries.ok())
    for (const auto& entry : *entries) out.emplace_back(entry.name, entry.value);
  return out;
}

TEST(Dotenv, CommentsExportBlanksAndLineEnds) {
  using Pairs = std::vector<std::pair<std::string, std::string>>;
  EXPECT_EQ(pairs("\xEF\xBB\xBF# head\r\n\r\n  A = 1  \r\nexport B=two # "
                  "tail\nC=a#b\nD=#none\nE=\nBARE\nF=last"),
            (Pairs{{"A", "1"}, {"B", "two"}, {"C", "a#b"}, {"D", ""}, {"E", ""}, {"F", "last"}}));
  EXPECT_EQ(pairs("export=1\nexported=2"), (Pairs{{"export", "1"}, {"exported", "2"}}));
  EXPECT_TRUE(pairs("").empty());
}

TEST(Dotenv, QuotesAndEscapes) {
  EXPECT_EQ(pairs("A='it\\'s \\n #no'  # yes")[0].second, "it's \\n #no");
  EXPECT_EQ(pairs("A=\"a\\tb\\\"c\\\\d\\q $HOME ${X}\"")[0].second, "a\tb\"c\\d\\q $HOME ${X}");
  EXPECT_EQ(pairs("A=\"x\ny\"\nB=1")[0].second, "x\ny");
  EXPECT_EQ(pairs("A=say \"hi\"")[0].second, "say \"hi\"");
}

// Errors name file and line, and never show what stands after a '='.
TEST(Dotenv, ErrorsNameTheLine) {
  const auto message = [](std::string_view text) {
    const auto entries = parse_dotenv(text, ".env");
    return entries.ok() ? std::string("no error") : entries.error().message;
  };
  EXPECT_EQ(message("A=1\n\nB='open"), ".env line 3: the quoted value of B never ends");
  EXPECT_EQ(message("A=\"1\n2\" x"),
            ".env line 2: want the end of the line after the value, got 'x'");
  EXPECT_EQ(message("A B=secret"), ".env line 1: want '=' after A, got 'B'");
  EXPECT_EQ(message("\n=secret"), ".env line 2: want NAME=VALUE, got ''");
  EXPECT_EQ(message(std::string_view("A=1\0", 4)), ".env: want text, found a zero byte");
  EXPECT_EQ(message(std::string(kDotenvBytesMax + 1, '\n')),
            ".env: 1048577 bytes, want at most 1048576");
}

// A folder named like the file is what a Python environment leaves behind; it is no settings file.
TEST(Dotenv, OnlyRegularFilesAreRead) {
  const auto folder = std::filesystem::path(testing::TempDir()) / "sis_dotenv_test";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder / "env");
  EXPECT_TRUE(read_dotenv(folder / "env", "env")->empty());
  EXPECT_TRUE(read_dotenv(folder / "absent", "absent")->empty());
  std::ofstream(folder / "file") << "A=1\n";
  const auto entries = read_dotenv(folder / "file", "file");
  ASSERT_TRUE(entries.ok());
  EXPECT_EQ(entries->at(0).line, 1);
}

}  // namespace
}  // namespace sis
