// An index names plain files of its own folder and every tensor once, or it is refused.
#include "infer/weights/shard_index.h"

#include <gtest/gtest.h>

#include "base/strings.h"
#include "infer/weights/weights_test_files.h"

namespace sis::weights {
namespace {

std::string refusal(std::string_view text) {
  const auto index = parse_shard_index(text);
  if (index.ok()) {
    ADD_FAILURE() << "accepted: " << text.substr(0, 200);
    return {};
  }
  EXPECT_EQ(index.error().code, Code::kInvalidArgument);
  return index.error().message;
}

std::string naming(std::string_view file) {
  return concat(R"({"weight_map":{"a":")", file, R"("}})");
}

TEST(ShardIndex, ReadsTensorsAndFiles) {
  const auto index = parse_shard_index(
      R"({"metadata":{"total_size":12,"deep":[[{}]]},"weight_map":{"b":"m-2.safetensors","a":"m-1.safetensors","c":"m-2.safetensors"}})");
  ASSERT_TRUE(index.ok()) << index.error().message;
  ASSERT_EQ(index->shards, (std::vector<std::string>{"m-2.safetensors", "m-1.safetensors"}));
  ASSERT_EQ(index->entries.size(), 3u);
  EXPECT_EQ(index->entries[0].tensor, "a");
  EXPECT_EQ(index->entries[0].shard, 1u);
  EXPECT_EQ(index->entries[2].shard, 0u);
}

TEST(ShardIndex, FileNamesThatLeaveTheFolder) {
  for (const char* name :
       {"../x.safetensors", "/etc/x.safetensors", "sub/x.safetensors", "..\\\\x.safetensors",
        "a/../../x.safetensors", "\\u002e\\u002e/x.safetensors"})
    EXPECT_SAYS(refusal(naming(name)), "tensor 'a': file '") << name;
  EXPECT_SAYS(refusal(naming("../x.safetensors")), "want a plain file name, found a path");
}

TEST(ShardIndex, FileNamesThatAreNoShard) {
  for (const char* name : {"", "..", ".", "x.bin", ".safetensors", ".hidden.safetensors"})
    EXPECT_SAYS(refusal(naming(name)), "want a name ending in .safetensors") << name;
  EXPECT_SAYS(refusal(naming("a\\u0000.safetensors")), "control characters");
  EXPECT_SAYS(refusal(naming(std::string(300, 'f') + ".safetensors")), "want at most 255");
}

TEST(ShardIndex, WrongJson) {
  EXPECT_SAYS(refusal(""), "index");
  EXPECT_SAYS(refusal("[]"), "want a JSON object");
  EXPECT_SAYS(refusal("{}"), "weight_map is missing");
  EXPECT_SAYS(refusal(R"({"weight_map":[]})"), "weight_map: want an object");
  EXPECT_SAYS(refusal(R"({"weight_map":{}})"), "want at least one tensor");
  EXPECT_SAYS(refusal(R"({"weight_map":{"a":1}})"), "tensor 'a': want a file name");
  EXPECT_SAYS(refusal(R"({"weight_map":{"a":"m.safetensors"}} {})"), "unexpected text after");
  EXPECT_SAYS(refusal(R"({"weight_map":{"a":"m.safetensors"})"), "index");
  EXPECT_SAYS(refusal("{\"weight_map\":{\"\xff\":\"m.safetensors\"}}"), "UTF-8");
}

TEST(ShardIndex, GivenTwice) {
  EXPECT_SAYS(refusal(R"({"weight_map":{"a":"m.safetensors","a":"n.safetensors"}})"),
              "tensor 'a' given twice");
  EXPECT_SAYS(refusal(R"({"weight_map":{"a":"m.safetensors"},"weight_map":{"a":"m.safetensors"}})"),
              "weight_map given twice");
}

TEST(ShardIndex, CountsAreBounded) {
  std::string json = R"({"weight_map":{)";
  for (size_t i = 0; i <= kShardsMax; ++i)
    json += concat(i ? "," : "", "\"t", i, "\":\"", i, ".safetensors\"");
  EXPECT_SAYS(refusal(json + "}}"), "more than 1024 files");
  EXPECT_SAYS(refusal(R"({"weight_map":{"":"m.safetensors"}})"), "the name has 0 bytes");
  EXPECT_SAYS(refusal(std::string(kIndexBytesMax + 1, ' ')), "want at most");
}

}  // namespace
}  // namespace sis::weights
