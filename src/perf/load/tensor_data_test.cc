// perf_analyzer's data files: its documented layouts are read, and a wrong one is named by place.
#include "perf/load/tensor_data.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "perf/load/json_file.h"

namespace sis::perf {
namespace {

std::string error_of(const std::string& text) {
  const auto data = parse_tensor_data(text, "a.json");
  return data.ok() ? "fine" : data.error().message;
}

TEST(TensorData, ReadsStepsWithAndWithoutShapes) {
  const auto data = parse_tensor_data(R"({"data": [{
      "prompt": {"content": ["<python>def is_even(na: int) ->"], "shape": [1]},
      "request_output_len": {"content": [32], "shape": [1]},
      "temperature": [0.20000000298023224],
      "is_return_log_probs": [true],
      "raw": {"b64": "AACAPw=="}, "both": {"content": {"b64": "AACAPw=="}, "shape": [1]}}]})",
                                      "a.json");
  ASSERT_TRUE(data.ok()) << data.error().message;
  ASSERT_EQ(data->steps(), 1u);
  const DataStep& step = data->streams[0][0];
  EXPECT_EQ(step.at("prompt").shape, TensorShape{1});
  EXPECT_EQ(step.at("prompt").bytes(TensorType::kBytes).value().substr(4, 8), "<python>");
  EXPECT_EQ(step.at("temperature").shape, std::nullopt);
  EXPECT_EQ(step.at("temperature").bytes(TensorType::kFp32).value().size(), 4u);
  EXPECT_EQ(step.at("is_return_log_probs").bytes(TensorType::kBool).value(), "\1");
  const std::string one("\0\0\x80\x3f", 4);
  EXPECT_EQ(step.at("raw").bytes(TensorType::kFp32).value(), one);
  EXPECT_EQ(step.at("both").bytes(TensorType::kFp32).value(), one);
  EXPECT_EQ(step.at("temperature").bytes(TensorType::kInt32).error().message,
            "a.json: data[0].temperature: element 0: want INT32, found 0.20000000298023224");
}

TEST(TensorData, ReadsStreamsAndExpectedOutputs) {
  const auto data = parse_tensor_data(
      R"({"data": [[{"A": [1]}, {"A": [2]}], [{"A": [3]}]],
          "validation_data": [[{"B": [1]}, {"B": [2]}], [{"B": [3]}]]})",
      "a.json");
  ASSERT_TRUE(data.ok()) << data.error().message;
  EXPECT_EQ(data->streams.size(), 2u);
  EXPECT_EQ(data->steps(), 3u);
  EXPECT_EQ(data->expected[1][0].at("B").place, "a.json: validation_data[1][0].B");
}

TEST(TensorData, TakesNumbersThatJsonLacks) {
  const auto data = parse_tensor_data(
      R"({"data": [{"A": [NaN, Infinity, -Infinity], "S": ["NaN, Infinity"]}]})", "a.json");
  ASSERT_TRUE(data.ok()) << data.error().message;
  const std::string raw = data->streams[0][0].at("A").bytes(TensorType::kFp32).value();
  EXPECT_EQ(raw.substr(4), std::string("\0\0\x80\x7f\0\0\x80\xff", 8));
  EXPECT_EQ(data->streams[0][0].at("S").bytes(TensorType::kBytes).value().substr(4),
            "NaN, Infinity");
}

TEST(TensorData, FaultsNameThePlace) {
  EXPECT_EQ(error_of("[]"), "a.json: want an object with 'data', found an array of 0");
  EXPECT_EQ(error_of(R"({"data": 5})"), "a.json: data: want a list of steps, found 5");
  EXPECT_EQ(error_of(R"({"data": [7]})"), "a.json: data[0]: want an object of tensors, found 7");
  EXPECT_EQ(error_of(R"({"data": [[{"A": [1]}], {"A": [1]}]})"),
            "a.json: data[1]: want a list of steps like the streams before, found an object of 1 "
            "members");
  EXPECT_EQ(error_of(R"({"data": [{"A": {"content": [1], "shape": [-1]}}]})"),
            "a.json: data[0].A.shape: want whole sizes from 0, found -1");
  EXPECT_EQ(error_of(R"({"data": [{"A": {"b64": "?!?"}}]})"),
            "a.json: data[0].A.b64: want base64 text, found the string '?!?'");
  EXPECT_EQ(error_of(R"({"data": [{"A": {"values": [1]}}]})"),
            "a.json: data[0].A: want 'content', 'b64' or 'shape', found 'values'");
  EXPECT_EQ(error_of(R"({"data": [{"A": [1]}], "validation_data": [{"B": [1]}, {"B": [1]}]})"),
            "a.json: validation_data: want as many streams and steps as in data");
  const std::string cut = error_of("{\n\"data\": [\n{\"A\": [1,}");
  EXPECT_NE(cut.find("a.json: line 3: want JSON"), std::string::npos) << cut;
  const std::string deep =
      error_of("{\"data\":" + std::string(200, '[') + std::string(200, ']') + "}");
  EXPECT_NE(deep.find("a.json: line 1: nested deeper than 100"), std::string::npos) << deep;
}

TEST(TensorData, ReadsAFolderOfRawFiles) {
  const std::string folder = testing::TempDir() + "tensor_data_test_folder";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directory(folder);
  EXPECT_FALSE(read_tensor_data(folder).ok());
  std::ofstream(folder + "/A") << std::string("\1\0\0\0", 4);
  std::ofstream(folder + "/S") << "one\ntwo\r\n";
  const auto data = read_tensor_data(folder);
  ASSERT_TRUE(data.ok()) << data.error().message;
  const DataStep& step = data->streams[0][0];
  EXPECT_EQ(step.at("A").bytes(TensorType::kInt32).value().size(), 4u);
  EXPECT_EQ(tensor_json(TensorType::kBytes, step.at("S").bytes(TensorType::kBytes).value()).value(),
            R"(["one","two"])");
  EXPECT_FALSE(step.at("A").bytes(TensorType::kInt64).ok());
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace sis::perf
