// Small JSON files are read within limits, and every refusal names the file.
#include "infer/weights/json_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "infer/weights/weights_test_files.h"

namespace sis::weights {
namespace {

std::string refusal(const ScratchFolder& folder, std::string_view text,
                    const JsonLimits& limits = {}) {
  const std::string path = folder.write("config.json", text);
  const auto json = read_json_file(path, limits);
  EXPECT_FALSE(json.ok()) << text.substr(0, 100);
  if (json.ok()) return {};
  EXPECT_SAYS(json.error().message, path);
  return json.error().message;
}

TEST(JsonFile, ReadsAnObject) {
  const ScratchFolder folder;
  const auto json =
      read_json_file(folder.write("config.json", R"({"hidden_size": 48, "name": "[[{{,\"é"})"));
  ASSERT_TRUE(json.ok()) << json.error().message;
  EXPECT_EQ(json->at("hidden_size"), 48);
  EXPECT_EQ(json->at("name"), "[[{{,\"é");
}

TEST(JsonFile, MissingIsNotFound) {
  const ScratchFolder folder;
  const auto json = read_json_file(folder / "gone.json");
  ASSERT_FALSE(json.ok());
  EXPECT_EQ(json.error().code, Code::kNotFound);
  EXPECT_SAYS(json.error().message, "gone.json", "No such file");
}

TEST(JsonFile, NotARegularFile) {
  const ScratchFolder folder;
  ASSERT_EQ(mkfifo((folder / "config.json").c_str(), 0600), 0);
  EXPECT_SAYS(read_json_file(folder / "config.json").error().message, "want a regular file");
  EXPECT_SAYS(read_json_file(folder.path()).error().message, "want a regular file");
}

TEST(JsonFile, TooLarge) {
  const ScratchFolder folder;
  const auto json = read_json_file(folder.write("config.json", "[1, 2, 3]"), {.bytes_max = 8});
  ASSERT_FALSE(json.ok());
  EXPECT_EQ(json.error().code, Code::kTooLarge);
  EXPECT_SAYS(json.error().message, "9 bytes, want at most 8");
}

TEST(JsonFile, TooDeepOrTooWide) {
  const ScratchFolder folder;
  EXPECT_SAYS(refusal(folder, std::string(100'000, '[')), "JSON deeper than 64 levels at byte 64");
  const std::string fits = std::string(64, '[') + std::string(64, ']');
  EXPECT_TRUE(read_json_file(folder.write("fits.json", fits)).ok());
  EXPECT_SAYS(refusal(folder, "[1,2,3,4]", {.values_max = 3}), "more than 3 values");
  EXPECT_TRUE(read_json_file(folder.write("fits.json", R"(["[[,,","\"[,"])"),
                             {.depth_max = 1, .values_max = 2})
                  .ok());
}

TEST(JsonFile, NotJson) {
  const ScratchFolder folder;
  EXPECT_SAYS(refusal(folder, ""), "not valid JSON");
  EXPECT_SAYS(refusal(folder, "{\"a\": 1"), "not valid JSON");
  EXPECT_SAYS(refusal(folder, "{\"a\": NaN}"), "not valid JSON");
  EXPECT_SAYS(refusal(folder, "{\"a\": \"\xff\"}"), "UTF-8");
  EXPECT_SAYS(refusal(folder, "{} {}"), "not valid JSON");
  EXPECT_SAYS(refusal(folder, "]]]]"), "not valid JSON");
  EXPECT_SAYS(refusal(folder, "[1e999999]"), "not valid JSON");
}

}  // namespace
}  // namespace sis::weights
