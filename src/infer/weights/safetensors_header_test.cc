// A header is accepted only when every claim in it is true, and each refusal says which one is not.
#include "infer/weights/safetensors_header.h"

#include <gtest/gtest.h>

#include <chrono>

#include "base/strings.h"
#include "infer/weights/weights_test_files.h"

namespace sis::weights {
namespace {

// The message parse_header() answers for this file; fails when the file is accepted.
std::string refusal(const std::string& file) {
  const auto header = parse_header(bytes_of(file));
  if (header.ok()) {
    ADD_FAILURE() << "accepted: " << file.substr(0, 200);
    return {};
  }
  EXPECT_EQ(header.error().code, Code::kInvalidArgument);
  return header.error().message;
}

// One tensor "a" with these parts and `bytes` bytes of data.
std::string one(std::string_view dtype, std::string_view shape, std::string_view offsets,
                size_t bytes) {
  return file_of(concat(R"({"a":{"dtype":)", dtype, R"(,"shape":)", shape, R"(,"data_offsets":)",
                        offsets, "}}"),
                 std::string(bytes, 'x'));
}

TEST(SafetensorsHeader, ReadsWhatIsRight) {
  const std::string file = file_of(
      R"({"__metadata__":{"format":"pt"},"b":{"dtype":"BF16","shape":[3],"data_offsets":[8,14]},)"
      R"("a":{"shape":[1,2],"data_offsets":[0,8],"dtype":"F32"},"e\u006Dpty":{"dtype":"F32","shape":[0,5],"data_offsets":[8,8]},)"
      R"("scalar":{"dtype":"F8_E4M3","shape":[],"data_offsets":[14,15]}}   )",
      std::string(15, 'x'));
  const auto header = parse_header(bytes_of(file));
  ASSERT_TRUE(header.ok()) << header.error().message;
  ASSERT_EQ(header->tensors.size(), 4u);
  EXPECT_EQ(header->data_begin, static_cast<int64_t>(file.size()) - 15);
  EXPECT_EQ(header->tensors[0].name, "a");
  EXPECT_EQ(header->tensors[0].shape, (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(header->tensors[0].begin, header->data_begin);
  EXPECT_EQ(header->tensors[1].type, StoredType::kBf16);
  EXPECT_EQ(header->tensors[2].name, "empty");
  EXPECT_EQ(header->tensors[2].end - header->tensors[2].begin, 0);
  EXPECT_EQ(header->tensors[3].type, StoredType::kF8E4M3);
  ASSERT_EQ(header->metadata.size(), 1u);
  EXPECT_EQ(header->metadata[0], (std::pair<std::string, std::string>{"format", "pt"}));
}

TEST(SafetensorsHeader, AcceptsNoTensorsAtAll) {
  EXPECT_TRUE(parse_header(bytes_of(file_of("{}"))).ok());
}

TEST(SafetensorsHeader, FileShorterThanItsLengthField) {
  EXPECT_SAYS(refusal(""), "file of 0 bytes, want at least 8");
  EXPECT_SAYS(refusal("1234567"), "file of 7 bytes");
}

TEST(SafetensorsHeader, LengthFieldLies) {
  EXPECT_SAYS(refusal(le64(3) + "{}"), "header of 3 bytes runs past the file of 10 bytes");
  EXPECT_SAYS(refusal(le64(~0ull) + "{}"),
              "header of 18446744073709551615 bytes, want at most 100000000");
  EXPECT_SAYS(refusal(le64(0) + "{}"), "want JSON beginning with '{'");
  EXPECT_SAYS(refusal(le64(1) + "{}"), "header");
}

TEST(SafetensorsHeader, HeaderOverTheLimitIsRefusedEvenIfItIsThere) {
  std::string json = "{}";
  json.resize(kHeaderBytesMax + 1, ' ');
  EXPECT_SAYS(refusal(file_of(json)), "header of 100000001 bytes, want at most 100000000");
}

TEST(SafetensorsHeader, EveryTruncationIsRefused) {
  const std::string whole = one(R"("F32")", "[2]", "[0,8]", 8);
  ASSERT_TRUE(parse_header(bytes_of(whole)).ok());
  for (size_t size = 0; size < whole.size(); ++size)
    EXPECT_NE(refusal(whole.substr(0, size)), "") << size;
  // The same with a length field that fits what is left.
  const std::string json = whole.substr(8, whole.size() - 16);
  for (size_t size = 1; size < json.size(); ++size)
    EXPECT_NE(refusal(file_of(json.substr(0, size))), "") << size;
}

TEST(SafetensorsHeader, NotJson) {
  EXPECT_SAYS(refusal(file_of("{\xff\xfe}")), "header");
  EXPECT_SAYS(refusal(file_of("[]")), "beginning with '{', found");
  EXPECT_SAYS(refusal(file_of(" {}")), "beginning with '{'");
  EXPECT_SAYS(refusal(file_of("{} {}")), "unexpected text after the JSON object");
  EXPECT_SAYS(refusal(file_of("{}x")), "header: want a JSON object (");
  EXPECT_SAYS(refusal(file_of(std::string("{}\0\0", 4))), "header: want a JSON object (");
  EXPECT_SAYS(refusal(file_of("{}}")), "header");
  EXPECT_SAYS(refusal(file_of(R"({"a":})")), "tensor 'a'");
  EXPECT_SAYS(refusal(file_of("{\"a\n\":1}")), "header");
}

TEST(SafetensorsHeader, NotUtf8) {
  EXPECT_SAYS(
      refusal(file_of("{\"\xc3\x28\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}")),
      "UTF-8");
  EXPECT_SAYS(
      refusal(file_of("{\"\\ud800\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}")),
      "a tensor's name");
}

TEST(SafetensorsHeader, DeepJsonEndsAtTheFirstUnwantedLevel) {
  const std::string deep = std::string(1'000'000, '[') + std::string(1'000'000, ']');
  EXPECT_SAYS(refusal(file_of("{\"a\":" + deep + "}")), "want an object with dtype");
  EXPECT_SAYS(refusal(file_of("{\"a\":{\"shape\":" + deep + "}}")), "shape");
  EXPECT_SAYS(refusal(file_of("{\"__metadata__\":{\"k\":" + deep + "}}")), "want a string");
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  EXPECT_SAYS(refusal(file_of(objects)), "header");
}

TEST(SafetensorsHeader, DuplicateNames) {
  const std::string entry = R"({"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  EXPECT_SAYS(refusal(file_of("{\"a\":" + entry + ",\"a\":" + entry + "}", "x")),
              "tensor 'a': the name is given twice");
  EXPECT_SAYS(refusal(file_of("{\"a\":" + entry + ",\"\\u0061\":" + entry + "}", "x")),
              "given twice");
  EXPECT_SAYS(
      refusal(file_of(R"({"a":{"dtype":"U8","dtype":"U8","shape":[0],"data_offsets":[0,0]}})")),
      "tensor 'a': dtype given twice");
  EXPECT_SAYS(
      refusal(file_of(R"({"a":{"dtype":"U8","shape":[0],"shape":[0],"data_offsets":[0,0]}})")),
      "shape given twice");
  EXPECT_SAYS(refusal(file_of(
                  R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"data_offsets":[0,0]}})")),
              "data_offsets given twice");
}

TEST(SafetensorsHeader, NamesWithoutBoundsOrText) {
  EXPECT_SAYS(refusal(file_of(R"({"":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})")),
              "the name has 0 bytes, want 1 to 1024");
  EXPECT_SAYS(refusal(file_of("{\"" + std::string(1025, 'n') + "\":{}}")),
              "the name has 1025 bytes");
}

TEST(SafetensorsHeader, EntryWithPartsMissingOrUnknown) {
  EXPECT_SAYS(refusal(file_of(R"({"a":{}})")), "tensor 'a': dtype is missing");
  EXPECT_SAYS(refusal(file_of(R"({"a":{"dtype":"F32"}})")), "shape is missing");
  EXPECT_SAYS(refusal(file_of(R"({"a":{"dtype":"F32","shape":[1]}})")), "data_offsets are missing");
  EXPECT_SAYS(refusal(file_of(R"({"a":{"dtype":"F32","shape":[1],"strides":[1]}})")),
              "unknown key 'strides'");
  EXPECT_SAYS(refusal(file_of(R"({"a":null})")), "tensor 'a': want an object");
}

TEST(SafetensorsHeader, DtypeIsNoKnownName) {
  EXPECT_SAYS(refusal(one(R"("F31")", "[1]", "[0,4]", 4)), "tensor 'a': dtype 'F31' is not known");
  EXPECT_SAYS(refusal(one(R"("f32")", "[1]", "[0,4]", 4)), "dtype 'f32' is not known");
  EXPECT_SAYS(refusal(one("7", "[1]", "[0,4]", 4)), "dtype: want a string");
}

TEST(SafetensorsHeader, ShapeIsNotCounts) {
  EXPECT_SAYS(refusal(one(R"("F32")", "1", "[0,4]", 4)), "shape: want an array of integers");
  EXPECT_SAYS(refusal(one(R"("F32")", "[-1]", "[0,4]", 4)), "found '-1'");
  EXPECT_SAYS(refusal(one(R"("F32")", "[1.0]", "[0,4]", 4)), "found '1.0'");
  EXPECT_SAYS(refusal(one(R"("F32")", "[1e0]", "[0,4]", 4)), "found '1e0'");
  EXPECT_SAYS(refusal(one(R"("F32")", "[01]", "[0,4]", 4)), "found '01'");
  EXPECT_SAYS(refusal(one(R"("F32")", R"(["1"])", "[0,4]", 4)), R"(found '"1"')");
  EXPECT_SAYS(refusal(one(R"("F32")", "[true]", "[0,4]", 4)), "found 'true'");
  EXPECT_SAYS(refusal(one(R"("F32")", "[1,]", "[0,4]", 4)), "shape");
  EXPECT_SAYS(refusal(one(R"("F32")", "[9223372036854775808]", "[0,4]", 4)), "from 0 to 2^63-1");
  EXPECT_SAYS(refusal(one(R"("F32")", "[18446744073709551617]", "[0,4]", 4)),
              "found '18446744073709551617'");
  EXPECT_SAYS(refusal(one(R"("F32")", "[1,1,1,1,1,1,1,1,1]", "[0,4]", 4)), "more than 8 entries");
}

TEST(SafetensorsHeader, ShapeProductOverflows) {
  EXPECT_SAYS(refusal(one(R"("F32")", "[4294967296,4294967296]", "[0,0]", 0)),
              "overflows a 64-bit size");
  EXPECT_SAYS(refusal(one(R"("F32")", "[4611686018427387904]", "[0,0]", 0)),
              "overflows a 64-bit size");
  EXPECT_SAYS(refusal(one(R"("U8")", "[2,9223372036854775807]", "[0,4]", 4)),
              "tensor 'a': shape [2, 9223");
  // A zero among them is an empty tensor, not an overflow.
  EXPECT_TRUE(
      parse_header(bytes_of(one(R"("F32")", "[4294967296,4294967296,0]", "[0,0]", 0))).ok());
}

TEST(SafetensorsHeader, BytesAreNotShapeTimesDtype) {
  EXPECT_SAYS(refusal(one(R"("F32")", "[2]", "[0,7]", 7)),
              "are 7 bytes, but shape [2] of F32 is 8");
  EXPECT_SAYS(refusal(one(R"("BF16")", "[2,3]", "[0,24]", 24)),
              "are 24 bytes, but shape [2, 3] of BF16 is 12");
  EXPECT_SAYS(refusal(one(R"("F32")", "[0]", "[0,4]", 4)),
              "are 4 bytes, but shape [0] of F32 is 0");
  EXPECT_SAYS(refusal(one(R"("F4")", "[3]", "[0,2]", 2)), "12 bits, not whole bytes");
  EXPECT_TRUE(parse_header(bytes_of(one(R"("F4")", "[4]", "[0,2]", 2))).ok());
}

TEST(SafetensorsHeader, OffsetsAreNoRange) {
  EXPECT_SAYS(refusal(one(R"("F32")", "[1]", "[4,0]", 4)), "the end lies before the begin");
  EXPECT_SAYS(refusal(one(R"("F32")", "[1]", "[-4,0]", 4)), "data_offsets: want an integer from 0");
  EXPECT_SAYS(refusal(one(R"("F32")", "[1]", "[0]", 4)), "want [begin, end], found 1 entries");
  EXPECT_SAYS(refusal(one(R"("F32")", "[1]", "[0,4,8]", 4)), "data_offsets: more than 2 entries");
  EXPECT_SAYS(refusal(one(R"("F32")", "[1]", "[0,18446744073709551615]", 4)), "from 0 to 2^63-1");
  EXPECT_SAYS(refusal(one(R"("F32")", "[1]", "{}", 4)), "data_offsets: want an array");
}

TEST(SafetensorsHeader, OffsetsOutsideTheFile) {
  EXPECT_SAYS(refusal(one(R"("F32")", "[2]", "[0,8]", 4)), "the file has only 4 bytes of data");
  EXPECT_SAYS(refusal(one(R"("F32")", "[1]", "[9223372036854775803,9223372036854775807]", 4)),
              "the file has only 4 bytes of data");
}

std::string two(std::string_view first, std::string_view second, size_t bytes) {
  return file_of(concat(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)", first,
                        R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)", second, "}}"),
                 std::string(bytes, 'x'));
}

TEST(SafetensorsHeader, RangesMustTileTheData) {
  EXPECT_TRUE(parse_header(bytes_of(two("[4,8]", "[0,4]", 8))).ok());
  EXPECT_SAYS(refusal(two("[0,4]", "[2,6]", 8)),
              "tensor 'b': its bytes from 2 overlap those of 'a', which end at 4");
  EXPECT_SAYS(refusal(two("[0,4]", "[0,4]", 4)), "overlap");
  EXPECT_SAYS(refusal(two("[0,4]", "[6,10]", 10)),
              "tensor 'b': a hole of 2 bytes lies before its data at 6");
  EXPECT_SAYS(refusal(two("[1,5]", "[5,9]", 9)), "tensor 'a': a hole of 1 bytes");
  EXPECT_SAYS(refusal(two("[0,4]", "[4,8]", 11)), "3 bytes after the last tensor belong to none");
  EXPECT_SAYS(refusal(file_of("{}", "xyz")), "3 bytes after the last tensor");
}

TEST(SafetensorsHeader, MetadataIsStringsOnly) {
  EXPECT_SAYS(refusal(file_of(R"({"__metadata__":{"n":1}})")), "__metadata__: 'n': want a string");
  EXPECT_SAYS(refusal(file_of(R"({"__metadata__":[]})")),
              "__metadata__: want an object of strings");
  EXPECT_SAYS(refusal(file_of(R"({"__metadata__":{"a":"x","a":"y"}})")), "key 'a' given twice");
  EXPECT_SAYS(refusal(file_of(R"({"__metadata__":{},"__metadata__":{}})")),
              "__metadata__ given twice");
  EXPECT_TRUE(parse_header(bytes_of(file_of(R"({"__metadata__":{}})"))).ok());
}

TEST(SafetensorsHeader, MessagesCarryNoControlCharacters) {
  const std::string message = refusal(file_of(R"({"\u001b[31m\n":{"dtype":"F32"}})"));
  for (const unsigned char c : message) EXPECT_GE(c, 0x20) << message;
}

TEST(SafetensorsHeader, ReadsTensorsByTheThousand) {
  std::string json = "{";
  for (int i = 0; i < 5000; ++i)
    json += concat(i ? "," : "", "\"model.layers.", i,
                   R"(.self_attn.q_proj.weight":{"dtype":"BF16","shape":[1,2],)",
                   "\"data_offsets\":[", i * 4, ",", i * 4 + 4, "]}");
  const std::string file = file_of(json + "}", std::string(20'000, 'x'));
  const auto start = std::chrono::steady_clock::now();
  const auto header = parse_header(bytes_of(file));
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
  ASSERT_TRUE(header.ok()) << header.error().message;
  EXPECT_EQ(header->tensors.size(), 5000u);
  RecordProperty("parse_ms",
                 concat(took.count()));  // a figure for the reader of the log, not a condition
}

}  // namespace
}  // namespace sis::weights
