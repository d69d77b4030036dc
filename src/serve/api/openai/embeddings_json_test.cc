#include "serve/api/openai/embeddings_json.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "serve/api/json_text.h"

namespace sis::api {
namespace {

Result<EmbeddingsCall> parse(std::string body, EmbeddingsLimits limits = {}) {
  const size_t size = body.size();
  body.resize(size + 64);  // as the server hands it over
  return parse_embeddings({body.data(), size}, limits, [](const std::string& model) -> Status {
    if (model == "m") return {};
    return Error{Code::kNotFound, "no model " + model, "model", "model_not_found"};
  });
}

struct Refused {
  const char* body;
  Code code;
  const char* param;
  const char* message;  // a part of it
};

// Each fault is named with its field, in the order body, model, fields, limits.
TEST(EmbeddingsJson, RefusesWithFieldAndReason) {
  const Refused cases[] = {
      {"", Code::kInvalidArgument, "", "not valid JSON"},
      {"{", Code::kInvalidArgument, "", "not valid JSON"},
      {"[1]", Code::kInvalidArgument, "", "JSON object, got an array"},
      {R"({"input":"x"})", Code::kInvalidArgument, "model", "non-empty string"},
      {R"({"model":"","input":"x"})", Code::kInvalidArgument, "model", "non-empty string"},
      {R"({"model":7,"input":"x"})", Code::kInvalidArgument, "model", "non-empty string"},
      {R"({"model":"nope"})", Code::kNotFound, "model", "no model nope"},
      {R"({"model":"m"})", Code::kInvalidArgument, "input", "missing"},
      {R"({"model":"m","input":null})", Code::kInvalidArgument, "input", "got null"},
      {R"({"model":"m","input":{}})", Code::kInvalidArgument, "input", "got an object"},
      {R"({"model":"m","input":[]})", Code::kInvalidArgument, "input", "empty array"},
      {R"({"model":"m","input":""})", Code::kInvalidArgument, "input", "empty string"},
      {R"({"model":"m","input":["a",""]})", Code::kInvalidArgument, "input[1]", "empty string"},
      {R"({"model":"m","input":["a",3]})", Code::kInvalidArgument, "input[1]", "got a number"},
      {R"({"model":"m","input":[1,-2]})", Code::kInvalidArgument, "input", "position 1"},
      {R"({"model":"m","input":[[1],[]]})", Code::kInvalidArgument, "input[1]", "empty array"},
      {R"({"model":"m","input":[1,2.5]})", Code::kInvalidArgument, "input", "position 1"},
      {R"({"model":"m","input":[99999999999]})", Code::kInvalidArgument, "input", "token ids"},
      {R"({"model":"m","input":"x","encoding_format":"hex"})", Code::kInvalidArgument,
       "encoding_format", "'hex'"},
      {R"({"model":"m","input":"x","dimensions":0})", Code::kInvalidArgument, "dimensions",
       "from 1"},
      {R"({"model":"m","input":"x","dimensions":1.5})", Code::kInvalidArgument, "dimensions",
       "from 1"},
      {R"({"model":"m","input":"x","truncate":"maybe"})", Code::kInvalidArgument, "truncate",
       "true or false"},
      {R"({"model":"m","input":"\ud800"})", Code::kInvalidArgument, "", "not valid JSON"},
      {"{\"model\":\"m\",\"input\":\"\xFF\"}", Code::kInvalidArgument, "", "not valid JSON"},
      {R"({"model":"m","input":["a","b","c"]})", Code::kInvalidArgument, "input",
       "3 texts, at most 2"},
      {R"({"model":"m","input":["a","12345678901"]})", Code::kInvalidArgument, "input[1]",
       "11 characters, at most 10"},
  };
  for (const auto& c : cases) {
    const auto result = parse(c.body, {.texts_max = 2, .text_chars_max = 10});
    ASSERT_FALSE(result.ok()) << c.body;
    EXPECT_EQ(result.error().code, c.code) << c.body;
    EXPECT_EQ(result.error().param, c.param) << c.body;
    EXPECT_NE(result.error().message.find(c.message), std::string::npos)
        << c.body << ": " << result.error().message;
  }
}

TEST(EmbeddingsJson, DeepNestingIsRefusedNotFollowed) {
  std::string body = R"({"model":"m","input":)";
  body.append(100000, '[');
  EXPECT_FALSE(parse(body).ok());
  std::string closed =
      R"({"model":"m","input":"x","user":)" + std::string(5000, '[') + std::string(5000, ']') + "}";
  EXPECT_FALSE(parse(closed).ok());
}

TEST(EmbeddingsJson, ReadsEveryInputForm) {
  auto call = parse(
      R"({"model":"m","input":"h\u00e9","encoding_format":"base64","dimensions":"5","user":null,"other":1})");
  ASSERT_TRUE(call.ok()) << call.error().message;
  EXPECT_TRUE(call->base64);
  EXPECT_EQ(call->dimensions, 5);
  EXPECT_EQ(call->request.inputs[0].text, "h\xC3\xA9");
  EXPECT_TRUE(call->request.truncate);

  call = parse(R"({"model":"m","input":["a","b"],"encoding_format":null,"truncate":false})");
  ASSERT_TRUE(call.ok());
  EXPECT_EQ(call->request.inputs.size(), 2u);
  EXPECT_FALSE(call->base64);
  EXPECT_FALSE(call->request.truncate);

  call = parse(R"({"model":"m","input":[1,2,3]})");  // one text of three ids, not three texts
  ASSERT_TRUE(call.ok());
  ASSERT_EQ(call->request.inputs.size(), 1u);
  EXPECT_EQ(call->request.inputs[0].ids, (std::vector<int32_t>{1, 2, 3}));

  call = parse(R"({"model":"m","input":[[1],[2,3]],"truncate_prompt_tokens":7})");
  ASSERT_TRUE(call.ok());
  EXPECT_EQ(call->request.inputs.size(), 2u);
  EXPECT_EQ(call->request.tokens_max, 7);

  EXPECT_FALSE(parse(R"({"model":"m","input":"x","frobnicate":1})", {.strict_fields = true}).ok());
  // Code points count, not bytes.
  EXPECT_TRUE(parse(R"({"model":"m","input":"\u00e9\u00e9\u00e9"})", {.text_chars_max = 3}).ok());
}

tasks::EmbedAnswer answer_of(std::vector<std::vector<float>> vectors) {
  tasks::EmbedAnswer answer;
  for (auto& vector : vectors)
    answer.items.push_back(std::make_shared<tasks::Embedded>(tasks::Embedded{vector, 3}));
  answer.tokens = 3 * static_cast<int64_t>(vectors.size());
  return answer;
}

// Floats read back bit for bit, and base64 carries the same bits.
TEST(EmbeddingsJson, FloatAndBase64CarryTheSameBits) {
  const std::vector<float> vector = {0.1f,  -1.17549435e-38f, 3.40282347e+38f, 1.0f / 3, 0.0f,
                                     -0.0f, 16777217.0f};
  const auto answer = answer_of({vector, vector});
  const auto floats = nlohmann::json::parse(*write_embeddings(answer, "a\"b", false, 0, true));
  EXPECT_EQ(floats["model"], "a\"b");
  EXPECT_EQ(floats["usage"]["prompt_tokens"], 6);
  EXPECT_TRUE(floats["usage"]["completion_tokens"].is_null());
  ASSERT_EQ(floats["data"].size(), 2u);
  EXPECT_EQ(floats["data"][1]["index"], 1);
  for (size_t i = 0; i < vector.size(); ++i)
    EXPECT_EQ(floats["data"][0]["embedding"][i].get<float>(), vector[i]) << i;

  const auto encoded = nlohmann::json::parse(*write_embeddings(answer, "m", true, 0, false));
  EXPECT_EQ(encoded["usage"]["total_tokens"], 0);
  std::string want;
  append_base64(want, std::as_bytes(std::span(vector)));
  EXPECT_EQ(encoded["data"][0]["embedding"], want);
}

TEST(EmbeddingsJson, Base64OfRfc4648) {
  for (const auto& [plain, want] : {std::pair{"", ""},
                                    {"f", "Zg=="},
                                    {"fo", "Zm8="},
                                    {"foo", "Zm9v"},
                                    {"foob", "Zm9vYg=="},
                                    {"fooba", "Zm9vYmE="},
                                    {"foobar", "Zm9vYmFy"}}) {
    std::string got;
    append_base64(got, std::as_bytes(std::span(plain, std::strlen(plain))));
    EXPECT_EQ(got, want);
  }
}

TEST(EmbeddingsJson, DimensionsCutAndNormaliseAgain) {
  const auto json = nlohmann::json::parse(
      *write_embeddings(answer_of({{0.6f, 0.0f, 0.8f}}), "m", false, 2, true));
  ASSERT_EQ(json["data"][0]["embedding"].size(), 2u);
  EXPECT_EQ(json["data"][0]["embedding"][0], 1.0);
}

TEST(EmbeddingsJson, ANumberThatIsNoneIsAnErrorNotJson) {
  const auto result = write_embeddings(answer_of({{1.0f, std::nanf("")}}), "m", false, 0, true);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, Code::kInternal);
}

}  // namespace
}  // namespace sis::api
