// An index names plain files of its own folder and every tensor once, or it is refused.
#include "infer/weights/shard_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/strings.h"

namespace sis::weights {
namespace {

using ::testing::HasSubstr;

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
    EXPECT_THAT(refusal(naming(name)), HasSubstr("tensor 'a': file '")) << name;
  EXPECT_THAT(refusal(naming("../x.safetensors")),
              HasSubstr("want a plain file name, found a path"));
}

TEST(ShardIndex, FileNamesThatAreNoShard) {
  for (const char* name : {"", "..", ".", "x.bin", ".safetensors", ".hidden.safetensors"})
    EXPECT_THAT(refusal(naming(name)), HasSubstr("want a name ending in .safetensors")) << name;
  EXPECT_THAT(refusal(naming("a\\u0000.safetensors")), HasSubstr("control characters"));
  EXPECT_THAT(refusal(naming(std::string(300, 'f') + ".safetensors")),
              HasSubstr("want at most 255"));
}

TEST(ShardIndex, WrongJson) {
  EXPECT_THAT(refusal(""), HasSubstr("index"));
  EXPECT_THAT(refusal("[]"), HasSubstr("want a JSON object"));
  EXPECT_THAT(refusal("{}"), HasSubstr("weight_map is missing"));
  EXPECT_THAT(refusal(R"({"weight_map":[]})"), HasSubstr("weight_map: want an object"));
  EXPECT_THAT(refusal(R"({"weight_map":{}})"), HasSubstr("want at least one tensor"));
  EXPECT_THAT(refusal(R"({"weight_map":{"a":1}})"), HasSubstr("tensor 'a': want a file name"));
  EXPECT_THAT(refusal(R"({"weight_map":{"a":"m.safetensors"}} x)"),
              HasSubstr("unexpected text after"));
  EXPECT_THAT(refusal(R"({"weight_map":{"a":"m.safetensors"})"), HasSubstr("index"));
  EXPECT_THAT(refusal("{\"weight_map\":{\"\xff\":\"m.safetensors\"}}"), HasSubstr("UTF-8"));
}

TEST(ShardIndex, GivenTwice) {
  EXPECT_THAT(refusal(R"({"weight_map":{"a":"m.safetensors","a":"n.safetensors"}})"),
              HasSubstr("tensor 'a' given twice"));
  EXPECT_THAT(refusal(R"({"weight_map":{"a":"m.safetensors"},"weight_map":{"a":"m.safetensors"}})"),
              HasSubstr("weight_map given twice"));
}

TEST(ShardIndex, CountsAreBounded) {
  std::string json = R"({"weight_map":{)";
  for (size_t i = 0; i <= kShardsMax; ++i)
    json += concat(i ? "," : "", "\"t", i, "\":\"", i, ".safetensors\"");
  EXPECT_THAT(refusal(json + "}}"), HasSubstr("more than 1024 files"));
  EXPECT_THAT(refusal(R"({"weight_map":{"":"m.safetensors"}})"), HasSubstr("the name has 0 bytes"));
  EXPECT_THAT(refusal(std::string(kIndexBytesMax + 1, ' ')), HasSubstr("want at most"));
}

}  // namespace
}  // namespace sis::weights
