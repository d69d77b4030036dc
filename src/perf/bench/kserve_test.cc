// Whole `sis bench kserve` commands against a scripted server of the protocol.
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <set>

#include "base/strings.h"
#include "perf/bench/bench_fixture.h"
#include "perf/bench/scripted_json_server.h"
#include "perf/load/kserve.h"
#include "perf/load/tensor.h"

namespace sis::perf {
namespace {

using Json = nlohmann::json;
using net::plain_answer;

constexpr const char* kMetadata = R"({"name":"m","versions":["1"],"platform":"x",
  "inputs":[{"name":"X","datatype":"FP32","shape":[-1,"2"]},{"name":"S","datatype":"BYTES","shape":[-1,1]}],
  "outputs":[{"name":"Y","datatype":"FP32","shape":[-1,2]}]})";

// Takes a request apart as the protocol says and answers its X as Y, in the form that was asked.
class EchoModel {
 public:
  explicit EchoModel(Json config = {{"max_batch_size", 8}})
      : server_([this, config](const Asked& asked) {
          if (asked.path == "/v2/models/m") return plain_answer(kMetadata);
          if (asked.path == "/v2/models/m/config")
            return config.is_null() ? plain_answer("{}", 404) : plain_answer(config.dump());
          if (asked.path == "/v2/models/m/infer") return infer(asked);
          return plain_answer(R"({"error":"no such model"})", 404);
        }) {}

  std::string url() const { return server_.url(); }
  std::vector<Json> headers;    // the JSON of each request
  std::vector<std::string> xs;  // raw X of each
  std::function<void(Json&, std::string&)> spoil = [](Json&, std::string&) {};

 private:
  std::string infer(const Asked& asked) {
    const std::lock_guard lock(mutex_);
    static constexpr std::string_view kName = "Inference-Header-Content-Length: ";
    size_t json_bytes = asked.body.size();
    if (const size_t at = asked.head.find(kName); at != std::string::npos)
      json_bytes = static_cast<size_t>(std::stoul(asked.head.substr(at + kName.size())));
    const Json request = Json::parse(asked.body.substr(0, json_bytes));
    std::string raw = asked.body.substr(json_bytes), x;
    for (const Json& input : request["inputs"]) {
      std::string bytes;
      if (input.contains("parameters")) {
        const auto size = input["parameters"]["binary_data_size"].get<size_t>();
        bytes = raw.substr(0, size);
        raw.erase(0, size);
      } else {
        bytes = tensor_bytes(*find_tensor_type(input["datatype"].get<std::string>()),
                             nlohmann::ordered_json::parse(input["data"].dump()))
                    .value();
      }
      EXPECT_EQ(
          raw_elements(*find_tensor_type(input["datatype"].get<std::string>()), bytes).value(),
          input["shape"][0].get<int64_t>() * input["shape"][1].get<int64_t>());
      if (input["name"] == "X") x = bytes;
    }
    EXPECT_TRUE(raw.empty());
    headers.push_back(request);
    xs.push_back(x);
    const Json shape = request["inputs"][0]["shape"];
    Json output = {{"name", "Y"}, {"datatype", "FP32"}, {"shape", shape}};
    std::string behind;
    if (request["outputs"][0].contains("parameters")) {
      output["parameters"] = {{"binary_data_size", x.size()}};
      behind = x;
    } else {
      output["data"] = Json::parse(tensor_json(TensorType::kFp32, x).value());
    }
    Json answer = {{"model_name", "m"}, {"outputs", Json::array({output})}};
    spoil(answer, behind);
    return plain_answer(answer.dump() + behind);
  }

  std::mutex mutex_;
  ScriptedJsonServer server_;
};

TEST(BenchKServe, SendsMadeUpTensorsAsBytesAndAsJson) {
  for (const bool binary : {true, false}) {
    EchoModel model;
    const Output output = bench_with({"kserve", "--base-url", model.url(), "--model", "m",
                                      "--batch", "3", binary ? "--binary" : "--no-binary",
                                      binary ? "--no-binary-outputs" : "--binary-outputs",
                                      "--n-requests", "10", "--json", "-"});
    ASSERT_EQ(output.exit_code, 0) << output.messages << output.out;
    const Json run = Json::parse(output.out)["runs"][0];
    EXPECT_EQ(run["successes"], 10);
    EXPECT_EQ(run["inferences"], 30);
    EXPECT_EQ(model.headers[0]["inputs"][0]["shape"], Json({3, 2}));
    EXPECT_EQ(std::set<std::string>(model.xs.begin(), model.xs.end()).size(), 10u);
  }
}

TEST(BenchKServe, SendsTheStepsOfAFileAndComparesWhatComesBack) {
  const std::string path = testing::TempDir() + "kserve_test_data.json";
  std::ofstream(path)
      << R"({"data":[{"X":[1,2],"S":["a"]},{"X":{"content":[3,4],"shape":[2]},"S":["b"]}],
    "validation_data":[{"Y":[1,2]},{"Y":[3,5]}]})";
  EchoModel model;
  const Output output =
      bench_with({"kserve", "--base-url", model.url(), "--model", "m", "--input-data", path,
                  "--n-requests", "4", "--concurrency", "1", "--json", "-"});
  const Json run = Json::parse(output.out)["runs"][0];
  EXPECT_EQ(run["successes"], 2) << output.out;
  EXPECT_EQ(run["failures"], 2);
  EXPECT_NE(run["error_counts"].dump().find("'Y' is not the expected one"), std::string::npos);
  EXPECT_EQ(tensor_json(TensorType::kFp32, model.xs[1]).value(), "[3,4]");
  std::ofstream(path) << R"({"data":[{"X":[1,2,3],"S":["a"]}]})";
  const Output wrong =
      bench_with({"kserve", "--base-url", model.url(), "--model", "m", "--input-data", path});
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_NE(wrong.messages.find(path + ": data[0].X: want 2 elements for shape [2], found 3"),
            std::string::npos)
      << wrong.messages;
  std::remove(path.c_str());
}

TEST(BenchKServe, WrongAnswersSayWhy) {
  const std::pair<std::function<void(Json&, std::string&)>, const char*> kCases[] = {
      {[](Json& answer, std::string&) { answer["outputs"] = Json::array(); }, "lacks output 'Y'"},
      {[](Json& answer, std::string&) { answer.erase("outputs"); }, "no array 'outputs'"},
      {[](Json& answer, std::string&) { answer["outputs"][0]["datatype"] = "FP64"; },
       "want datatype FP32, found 'FP64'"},
      {[](Json& answer, std::string&) {
         answer["outputs"][0]["shape"] = {1, 3};
       },
       "2 elements, its shape says 3"},
      {[](Json& answer, std::string&) { answer["outputs"][0]["name"] = "Z"; }, "not asked for"},
      {[](Json&, std::string& behind) { behind.pop_back(); }, "says 8 bytes, 7 are left"},
      {[](Json&, std::string& behind) { behind += 'x'; }, "1 bytes behind its last tensor"},
      {[](Json& answer, std::string&) { answer["outputs"].push_back(answer["outputs"][0]); },
       "'Y' twice"},
  };
  for (const auto& [spoil, why] : kCases) {
    EchoModel model;
    model.spoil = spoil;
    const Output output = bench_with({"kserve", "--base-url", model.url(), "--model", "m",
                                      "--n-requests", "1", "--input-data", "zero"});
    EXPECT_EQ(output.exit_code, 1) << why;
    EXPECT_NE(output.out.find(why), std::string::npos) << output.out;
  }
}

// A shape is the server's word: what it would cost is bounded before anything is made.
TEST(BenchKServe, AShapeWithoutBoundIsRefused) {
  for (const TensorType type : {TensorType::kFp64, TensorType::kBytes}) {
    KServeOptions options{.url = *net::parse_url("http://127.0.0.1:1"), .model = "m"};
    options.metadata.name = "m";
    options.metadata.inputs = {{.name = "X", .type = type, .shape = {1 << 28}}};
    const auto workload = KServeWorkload::create(options);
    ASSERT_FALSE(workload.ok());
    EXPECT_NE(workload.error().message.find("input 'X': want at most 256 MiB"), std::string::npos)
        << workload.error().message;
  }
}

TEST(BenchKServe, WhatCannotBeSentIsNamed) {
  EchoModel model;
  const Output batch =
      bench_with({"kserve", "--base-url", model.url(), "--model", "m", "--batch", "9"});
  EXPECT_EQ(batch.exit_code, 2);
  EXPECT_NE(batch.messages.find("batch: want 1..8 for model 'm', got 9"), std::string::npos)
      << batch.messages;
  const Output shape =
      bench_with({"kserve", "--base-url", model.url(), "--model", "m", "--shape", "X:3"});
  EXPECT_NE(shape.messages.find("input 'X': want a shape like [2] (without the batch), found [3]"),
            std::string::npos)
      << shape.messages;
  const Output unknown = bench_with({"kserve", "--base-url", model.url(), "--model", "other"});
  EXPECT_EQ(unknown.exit_code, 1);
  EXPECT_NE(unknown.messages.find("status 404: 'no such model'"), std::string::npos)
      << unknown.messages;
  EchoModel open{Json()};  // without configuration the batch's size is one open size of two
  const Output sizes = bench_with({"kserve", "--base-url", open.url(), "--model", "m"});
  EXPECT_NE(sizes.messages.find("the model leaves sizes of [-1,2] open; want a shape for 'X'"),
            std::string::npos)
      << sizes.messages;
  const Output given = bench_with({"kserve", "--base-url", open.url(), "--model", "m", "--shape",
                                   "X:4,2", "--shape", "S:1,1", "--n-requests", "2"});
  EXPECT_EQ(given.exit_code, 0) << given.messages << given.out;
  EchoModel sequences{Json{{"max_batch_size", 1}, {"sequence_batching", Json::object()}}};
  const Output ordered = bench_with({"kserve", "--base-url", sequences.url(), "--model", "m"});
  EXPECT_NE(ordered.messages.find("want a model without sequence_batching"), std::string::npos)
      << ordered.messages;
}

}  // namespace
}  // namespace sis::perf
