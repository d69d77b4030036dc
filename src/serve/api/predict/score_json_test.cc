// Dialects, what is read from them, and errors in each one's shape. The whole way over HTTP is in
// tests/http/scores and tests/system/test_scores.py.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "serve/api/json_body.h"
#include "serve/api/predict/classify_json.h"
#include "serve/api/predict/error_shape.h"
#include "serve/api/predict/rerank_json.h"

namespace sis::api {
namespace {

using nlohmann::json;

// A body that simdjson may read past.
class Body {
 public:
  explicit Body(std::string text) : size_(text.size()), text_(std::move(text)) {
    text_.resize(size_ + 64);
  }
  JsonObject object() const {
    const auto read = parse_body({text_.data(), size_});
    EXPECT_TRUE(read.ok()) << text_;
    return *read;
  }

 private:
  size_t size_;
  std::string text_;
};

const ScoreModel kModel{.name = "m",
                        .classifies = true,
                        .ranks = true,
                        .rule = tasks::ScoreRule::kSoftmax,
                        .labels = {"no", "maybe", "yes"},
                        .version = "v1"};
const ScoreOptions kOptions{.texts_max = 3};
const ScorePlace kPlace{.model = kModel, .options = kOptions, .request_id = "7"};

tasks::EmbedAnswer answer_of(const std::vector<std::vector<float>>& logits) {
  tasks::EmbedAnswer answer;
  for (const auto& row : logits) {
    answer.items.push_back(std::make_shared<const tasks::Embedded>(tasks::Embedded{row, 2}));
    answer.tokens += 2;
  }
  return answer;
}

TEST(RerankDialect, IsToldByPathAndFields) {
  const auto dialect = [](const char* path, const char* body) {
    return rerank_dialect(path, Body(body).object());
  };
  EXPECT_EQ(dialect("/v1/rerank", R"({"documents":["a"],"top_n":1})"), RerankDialect::kOwn);
  EXPECT_EQ(dialect("/v1/rerank", R"({"documents":["a",{"text":"b"}]})"), RerankDialect::kJina);
  EXPECT_EQ(dialect("/v1/rerank", R"({"documents":["a"],"return_documents":false})"),
            RerankDialect::kJina);
  EXPECT_EQ(dialect("/v1/rerank", R"({"documents":["a"],"return_documents":null})"),
            RerankDialect::kOwn);
  EXPECT_EQ(dialect("/rerank", R"({"documents":["a"]})"), RerankDialect::kJina);
  EXPECT_EQ(dialect("/v2/rerank", R"({"documents":["a"]})"), RerankDialect::kCohere2);
  EXPECT_EQ(dialect("/v1/rerank", R"({"texts":["a"]})"), RerankDialect::kTei);
}

// The server's limit cuts; where cutting is forbidden only the model's counts.
TEST(RerankRequest, PairsAreCutAsTheDialectSays) {
  const auto request = [](RerankDialect dialect, const char* body) {
    const auto call = parse_rerank(dialect, Body(body).object(), kPlace);
    EXPECT_TRUE(call.ok()) << (call.ok() ? "" : call.error().message);
    return call->request;
  };
  const auto own = request(RerankDialect::kOwn, R"({"query":"q","documents":["a","b"]})");
  EXPECT_TRUE(own.truncate);
  EXPECT_EQ(own.tokens_max, 512);
  ASSERT_EQ(own.inputs.size(), 2u);
  EXPECT_EQ(own.inputs[1].text, "q");
  EXPECT_EQ(own.inputs[1].pair, "b");
  const auto tei = request(RerankDialect::kTei, R"({"query":"q","texts":["a"]})");
  EXPECT_FALSE(tei.truncate);
  EXPECT_EQ(tei.tokens_max, 0);
  const auto shorter = request(RerankDialect::kJina,
                               R"({"query":"q","documents":["a"],"truncate_prompt_tokens":"40"})");
  EXPECT_EQ(shorter.tokens_max, 40);
}

TEST(Classify, AnswersInThreeShapes) {
  const auto answer = answer_of({{0.0f, 1.0f, 3.0f}, {2.0f, 0.0f, 0.0f}});
  const auto vllm = parse_classify(Body(R"({"input":["a","b"]})").object(), kPlace);
  ASSERT_TRUE(vllm.ok()) << vllm.error().message;
  const json plain = json::parse(vllm->write(answer));
  EXPECT_EQ(plain["data"][0]["label"], "yes");
  EXPECT_EQ(plain["data"][1]["label"], "no");
  EXPECT_EQ(plain["data"][1]["num_classes"], 3);
  EXPECT_EQ(plain["usage"]["prompt_tokens"], 4);
  EXPECT_EQ(plain["id"], "classify-7");

  const auto infinity =
      parse_classify(Body(R"({"input":["a","b"],"raw_scores":true})").object(), kPlace);
  ASSERT_TRUE(infinity.ok()) << infinity.error().message;
  const json ranked = json::parse(infinity->write(answer));
  EXPECT_EQ(ranked["data"][0], (json::parse(R"([{"score":3.0,"label":"yes"},
      {"score":1.0,"label":"maybe"},{"score":0.0,"label":"no"}])")));

  const auto tei = parse_tei_predict(Body(R"({"inputs":[["a"],["b","c"]]})").object(), kPlace);
  ASSERT_TRUE(tei.ok()) << tei.error().message;
  EXPECT_EQ(tei->request.inputs[1].pair, "c");
  EXPECT_EQ(json::parse(tei->write(answer))[1][0]["label"], "no");
}

TEST(ErrorShape, StatusesFollowTheDialect) {
  Error wrong{Code::kInvalidArgument, "wrong", "field"}, limit = wrong, empty = wrong;
  limit.reason = kLimitReason;
  empty.reason = kEmptyReason;
  const Error full{Code::kOverloaded, "full"}, broken{Code::kInternal, "broken"},
      closing{Code::kUnavailable, "closing"}, late{Code::kDeadline, "late"};
  const struct {
    Error error;
    int openai, predict, tei;
    const char* tei_type;
  } kCases[] = {{wrong, 400, 422, 422, "Validation"}, {limit, 400, 400, 422, "Validation"},
                {empty, 400, 422, 400, "Empty"},      {full, 429, 429, 429, "Overloaded"},
                {broken, 500, 500, 424, "Backend"},   {closing, 503, 503, 503, "Unhealthy"},
                {late, 504, 504, 504, "Backend"}};
  for (const auto& one : kCases) {
    const auto shaped = [&](ErrorShape shape) {
      return shaped_error(shape, one.error, from_seconds(2));
    };
    EXPECT_EQ(shaped(ErrorShape::kOpenAi).status, one.openai) << one.error.message;
    const auto predict = shaped(ErrorShape::kPredict), tei = shaped(ErrorShape::kTei);
    EXPECT_EQ(predict.status, one.predict) << one.error.message;
    EXPECT_EQ(json::parse(predict.body)["detail"], one.error.message);
    EXPECT_EQ(tei.status, one.tei) << one.error.message;
    EXPECT_EQ(json::parse(tei.body),
              (json{{"error", one.error.message}, {"error_type", one.tei_type}}));
  }
  const auto headers = shaped_error(ErrorShape::kTei, full, from_seconds(2)).headers;
  EXPECT_NE(std::find(headers.begin(), headers.end(),
                      std::pair<std::string, std::string>("Retry-After", "2")),
            headers.end());
}

}  // namespace
}  // namespace sis::api
