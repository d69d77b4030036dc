// Values become the raw bytes and the JSON that the protocol wants, and wrong ones are refused.
#include "perf/load/tensor.h"

#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "perf/load/base64.h"

namespace sis::perf {
namespace {

using Json = nlohmann::ordered_json;

uint16_t half(double value) {
  const auto raw = tensor_bytes(TensorType::kFp16, Json::array({value}));
  uint16_t bits = 0;
  std::memcpy(&bits, raw.value().data(), 2);
  return bits;
}

// Values of numpy.float16(x).view('uint16'), around every edge of the format.
TEST(Tensor, HalvesRoundToNearestEven) {
  EXPECT_EQ(half(0.0), 0x0000);
  EXPECT_EQ(half(1.0), 0x3C00);
  EXPECT_EQ(half(-2.0), 0xC000);
  EXPECT_EQ(half(0.1), 0x2E66);
  EXPECT_EQ(half(65504.0), 0x7BFF);
  EXPECT_EQ(half(65519.0), 0x7BFF);
  EXPECT_EQ(half(65520.0), 0x7C00);                // infinity
  EXPECT_EQ(half(6.103515625e-05), 0x0400);        // smallest normal
  EXPECT_EQ(half(5.960464477539063e-08), 0x0001);  // smallest of all
  EXPECT_EQ(half(2.980232238769531e-08), 0x0000);  // half of it: ties go to even
  EXPECT_EQ(half(1.00048828125), 0x3C00);          // tie, even below
  EXPECT_EQ(half(1.00146484375), 0x3C02);          // tie, even above
}

TEST(Tensor, EveryTypeReturnsFromRawBytes) {
  const std::pair<TensorType, const char*> kCases[] = {
      {TensorType::kBool, "[true,false]"},
      {TensorType::kUint8, "[0,255]"},
      {TensorType::kUint16, "[65535]"},
      {TensorType::kUint32, "[4294967295]"},
      {TensorType::kUint64, "[18446744073709551615]"},
      {TensorType::kInt8, "[-128,127]"},
      {TensorType::kInt16, "[-32768]"},
      {TensorType::kInt32, "[-2147483648]"},
      {TensorType::kInt64, "[-9223372036854775808]"},
      {TensorType::kFp32, "[0.1,-2.5]"},
      {TensorType::kFp64, "[0.1,1e+300]"},
      {TensorType::kBytes, R"(["","h\u00e9 \"x\""])"},
  };
  for (const auto& [type, text] : kCases) {
    const auto raw = tensor_bytes(type, Json::parse(text));
    ASSERT_TRUE(raw.ok()) << text;
    const auto back = tensor_json(type, *raw);
    ASSERT_TRUE(back.ok()) << text;
    EXPECT_EQ(Json::parse(*back), Json::parse(text)) << tensor_type_name(type);
    EXPECT_EQ(raw_elements(type, *raw).value(), static_cast<int64_t>(Json::parse(text).size()));
    EXPECT_EQ(find_tensor_type(tensor_type_name(type)), type);
  }
}

TEST(Tensor, WrongElementsAreNamed) {
  const auto message = [](TensorType type, const char* text) {
    const auto raw = tensor_bytes(type, Json::parse(text));
    return raw.ok() ? std::string("fine") : raw.error().message;
  };
  EXPECT_EQ(message(TensorType::kInt8, "[1,[2,128]]"), "element 2: want INT8, found 128");
  EXPECT_EQ(message(TensorType::kUint32, "[-1]"), "element 0: want UINT32, found -1");
  EXPECT_EQ(message(TensorType::kInt32, "[1.5]"), "element 0: want INT32, found 1.5");
  EXPECT_EQ(message(TensorType::kFp32, R"([1,"x"])"), "element 1: want FP32, found the string 'x'");
  EXPECT_EQ(message(TensorType::kBytes, "[7]"), "element 0: want BYTES, found 7");
  EXPECT_EQ(message(TensorType::kBool, "[2]"), "element 0: want BOOL, found 2");
}

TEST(Tensor, RawBytesMustBeWholeElements) {
  EXPECT_FALSE(raw_elements(TensorType::kFp32, "12345").ok());
  EXPECT_FALSE(raw_elements(TensorType::kBytes, std::string("\x05\0\0\0ab", 6)).ok());
  EXPECT_FALSE(raw_elements(TensorType::kBytes, std::string("\x01\0", 2)).ok());
  EXPECT_FALSE(tensor_json(TensorType::kFp16, std::string(2, '\0')).ok());
  EXPECT_EQ(element_count({1 << 20, 1 << 20}), std::nullopt);
}

TEST(Tensor, MadeUpElementsHaveTheRightSizeAndSeed) {
  Rng one{5}, same{5};
  for (const TensorType type : {TensorType::kFp16, TensorType::kFp64, TensorType::kInt64,
                                TensorType::kBool, TensorType::kBytes}) {
    const std::string raw = random_tensor(type, 10, one, 8);
    EXPECT_EQ(raw, random_tensor(type, 10, same, 8));
    EXPECT_EQ(raw_elements(type, raw).value(), 10);
    EXPECT_EQ(raw_elements(type, zero_tensor(type, 10)).value(), 10);
  }
}

// The test vectors of RFC 4648 section 10.
TEST(Base64, MatchesTheStandard) {
  const std::pair<const char*, const char*> kCases[] = {{"", ""},
                                                        {"f", "Zg=="},
                                                        {"fo", "Zm8="},
                                                        {"foo", "Zm9v"},
                                                        {"foob", "Zm9vYg=="},
                                                        {"fooba", "Zm9vYmE="},
                                                        {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, text] : kCases) {
    EXPECT_EQ(base64_encode(plain), text);
    EXPECT_EQ(base64_decode(text), plain);
  }
  for (const char* wrong : {"Zg=", "Zg", "Z===", "Zm9-", "====", "Zg==Zg=="})
    EXPECT_EQ(base64_decode(wrong), std::nullopt) << wrong;
}

}  // namespace
}  // namespace sis::perf
