#include "perf/load/embeddings.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "base/strings.h"
#include "perf/load/openai_http.h"
#include "perf/load/words.h"

namespace sis::perf {
namespace {

EmbeddingsOptions base_options() {
  EmbeddingsOptions options{.url = *net::parse_url("http://localhost:8000"), .model = "m \"x\""};
  return options;
}

std::unique_ptr<EmbeddingsWorkload> make(const EmbeddingsOptions& options) {
  auto workload = EmbeddingsWorkload::create(options);
  EXPECT_TRUE(workload.ok());
  return std::move(*workload);
}

nlohmann::json body_of(std::string_view request) {
  const size_t at = request.find("\r\n\r\n");
  const std::string_view body = request.substr(at + 4);
  EXPECT_NE(request.find(concat("Content-Length: ", body.size(), "\r\n")), std::string_view::npos);
  return nlohmann::json::parse(body);
}

int64_t words_in(const std::string& text) { return static_cast<int64_t>(split(text, ' ').size()); }

TEST(EmbeddingsWorkload, OneTextIsAStringManyAreAList) {
  auto options = base_options();
  options.texts.text = "caf\u00e9 \"q\" \\ \n";
  options.api_key = "k";
  std::string scratch;
  const auto one = make(options);
  const auto request = one->request(0, scratch);
  EXPECT_TRUE(request.starts_with("POST /v1/embeddings HTTP/1.1\r\nHost: localhost:8000\r\n"))
      << request;
  EXPECT_NE(request.find("Authorization: Bearer k\r\n"), std::string_view::npos);
  EXPECT_EQ(body_of(request),
            (nlohmann::json{{"model", "m \"x\""}, {"input", options.texts.text}}));

  options.batch = 2;
  options.encoding = VectorEncoding::kBase64;
  EXPECT_EQ(body_of(make(options)->request(5, scratch)),
            (nlohmann::json{{"model", "m \"x\""},
                            {"encoding_format", "base64"},
                            {"input", {options.texts.text, options.texts.text}}}));
}

TEST(EmbeddingsWorkload, RefusesAKeyThatWouldBreakTheHead) {
  auto options = base_options();
  options.api_key = "k\r\nX: y";
  EXPECT_FALSE(EmbeddingsWorkload::create(options).ok());
}

TEST(EmbeddingsWorkload, FileTextsAreUsedInTurnWithEqualShares) {
  auto options = base_options();
  options.texts.texts = {"a", "b", "c"};
  options.batch = 2;
  const auto workload = make(options);
  std::string scratch;
  std::map<std::string, int> seen;
  for (uint64_t i = 0; i < 6; ++i) {
    const auto body = body_of(workload->request(i, scratch));
    for (const auto& text : body["input"]) ++seen[text.get<std::string>()];
  }
  EXPECT_EQ(seen, (std::map<std::string, int>{{"a", 4}, {"b", 4}, {"c", 4}}));
}

// Every text of 5,000 requests is another one; the wanted number of words is kept.
TEST(EmbeddingsWorkload, DistinctTextsNeverRepeat) {
  auto options = base_options();
  options.texts.lengths = *LengthSpec::parse("16");
  options.distinct = true;
  options.batch = 3;
  options.salt = 123456789;
  const auto workload = make(options);
  std::set<std::string> seen;
  std::string scratch;
  for (uint64_t i = 0; i < 5000; ++i) {
    const auto body = body_of(workload->request(i, scratch));
    for (const auto& text : body["input"]) {
      EXPECT_TRUE(seen.insert(text.get<std::string>()).second) << text;
      EXPECT_EQ(words_in(text.get<std::string>()), 16);
    }
  }
  // Also with a given text, however short.
  options.texts.lengths.reset();
  options.texts.text = "";
  options.batch = 1;
  EXPECT_NE(body_of(make(options)->request(0, scratch))["input"],
            body_of(make(options)->request(1, scratch))["input"]);
  // Another salt, other texts.
  const auto before = body_of(make(options)->request(0, scratch))["input"];
  options.salt += 1 << 20;
  EXPECT_NE(body_of(make(options)->request(0, scratch))["input"], before);
}

TEST(EmbeddingsWorkload, SameSeedSameRequests) {
  auto options = base_options();
  options.texts.lengths = *LengthSpec::parse("lognormal:50");
  options.requests = 100;
  std::string a, b;
  const auto one = make(options), two = make(options);
  options.seed = 2;
  const auto other = make(options);
  EXPECT_EQ(one->pool_size(), 100u);
  bool differs = false;
  for (uint64_t i = 0; i < 100; ++i) {
    EXPECT_EQ(one->request(i, a), two->request(i, b));
    differs |= one->request(i, a) != other->request(i, b);
  }
  EXPECT_TRUE(differs);
}

TEST(LengthSpec, KeepsItsPromise) {
  Rng rng(3);
  const auto choice = *LengthSpec::parse("16, 128,512");
  std::map<int64_t, int> seen;
  for (int i = 0; i < 3000; ++i) ++seen[choice.sample(rng)];
  EXPECT_EQ(seen.size(), 3u);
  for (const auto& [words, count] : seen) EXPECT_NEAR(count, 1000, 120) << words;

  const auto log_normal = *LengthSpec::parse("lognormal:180");
  const auto uniform = *LengthSpec::parse("uniform:10:20");
  double sum = 0;
  for (int i = 0; i < 20000; ++i) {
    sum += static_cast<double>(log_normal.sample(rng));
    const int64_t words = uniform.sample(rng);
    EXPECT_TRUE(words >= 10 && words <= 20);
  }
  EXPECT_NEAR(sum / 20000, 180, 5);
  EXPECT_EQ(words_in(random_text(rng, 37)), 37);
}

TEST(LengthSpec, SaysWhatIsWrong) {
  for (const char* text :
       {"", "0", "-5", "16,x", "1e3", "lognormal", "lognormal:", "lognormal:0", "lognormal:5:9",
        "lognormal:5:1:1", "uniform:5", "uniform:9:5", "uniform:0:5", "200000"}) {
    const auto spec = LengthSpec::parse(text);
    ASSERT_FALSE(spec.ok()) << text;
    EXPECT_NE(spec.error().message.find("want"), std::string::npos) << spec.error().message;
  }
}

TEST(Tag, IsUniqueAndOfFixedWidth) {
  std::set<std::string_view> words(kFourLetterWords.begin(), kFourLetterWords.end());
  EXPECT_EQ(words.size(), 256u);
  for (const auto word : words) EXPECT_EQ(word.size(), 4u);
  std::string text(kTagBytes + 1, '#');
  write_tag(0x0102030405, text.data());
  EXPECT_EQ(text.back(), '#');
  EXPECT_EQ(words_in(text.substr(0, kTagBytes)), static_cast<int64_t>(kTagWords));
}

TEST(ReadLines, SkipsBlanksAndRefusesWhatIsNotText) {
  const std::string path = testing::TempDir() + "perf_texts_test.txt";
  std::ofstream(path, std::ios::binary) << "one\r\n\n  \ntwo\nthree";
  const auto lines = read_lines(path);
  ASSERT_TRUE(lines.ok());
  EXPECT_EQ(*lines, (std::vector<std::string>{"one", "two", "three"}));
  std::ofstream(path, std::ios::binary) << "fine\nbad \xff\n";
  EXPECT_NE(read_lines(path).error().message.find("line 2 is not UTF-8"), std::string::npos);
  std::ofstream(path, std::ios::binary) << "\n\n";
  EXPECT_NE(read_lines(path).error().message.find("no line with text"), std::string::npos);
  std::remove(path.c_str());
  EXPECT_NE(read_lines(path).error().message.find("No such file"), std::string::npos);
}

std::string embedding_answer(
    const std::string& data,
    const std::string& usage = R"(,"usage":{"prompt_tokens":7,"total_tokens":7})") {
  return R"({"object":"list","data":[)" + data + R"(],"model":"m")" + usage + "}";
}

TEST(EmbeddingsJudge, TakesRightAnswersAndNamesFaultsOfWrongOnes) {
  auto options = base_options();
  options.batch = 2;
  options.check_every = 1;
  const auto judge = make(options)->make_judge();
  const std::string a = R"({"index":0,"embedding":[1,-0.5]})",
                    b = R"({"index":1,"embedding":[0,2e-3]})";
  const Judgement good = judge->judge(0, {200, embedding_answer(a + "," + b)});
  EXPECT_TRUE(good.ok) << good.error;
  EXPECT_EQ(good.items, 2u);
  EXPECT_EQ(good.prompt_tokens, 7);
  const std::string base64 =
      R"({"index":0,"embedding":"AACAPwAAAL8="},{"index":1,"embedding":"AACAPwAAAL8="})";
  EXPECT_TRUE(judge->judge(0, {200, embedding_answer(base64)}).ok);
  EXPECT_EQ(judge->judge(0, {200, embedding_answer(a + "," + b, "")}).prompt_tokens, -1);

  const std::pair<std::string, std::string> cases[] = {
      {embedding_answer(a), "1 embeddings for 2 texts"},
      {embedding_answer(b + "," + a), "data[0].index"},
      {embedding_answer(a + R"(,{"index":1,"embedding":[1]})"), "data[1]: 1 numbers"},
      {embedding_answer(a + R"(,{"index":1,"embedding":[]})"), "is empty"},
      {embedding_answer(a + R"(,{"index":1,"embedding":[1,null]})"), "want a number"},
      {embedding_answer(a + R"(,{"index":1,"embedding":"AACAPwA="})"), "base64 of 8"},
      {embedding_answer(a + R"(,{"index":1})"), "no 'embedding'"},
      {R"({"data":7})", "no array 'data'"},
      {R"({"data":[}})", "not JSON"},
      {"hello", "without a JSON object"},
      {"", "without a JSON object"},
  };
  for (const auto& [body, want] : cases) {
    const Judgement judgement = judge->judge(0, {200, body});
    EXPECT_FALSE(judgement.ok) << body;
    EXPECT_FALSE(judgement.status_fault);
    EXPECT_NE(judgement.error.find(want), std::string::npos) << judgement.error;
  }
  const Judgement refused = judge->judge(0, {429, R"({"detail":"busy"})"});
  EXPECT_TRUE(refused.status_fault);
  EXPECT_EQ(refused.error, "status 429: 'busy'");
}

TEST(FindPromptTokens, LooksAtBothEnds) {
  const std::string vectors(5000, '1');
  EXPECT_EQ(find_prompt_tokens(embedding_answer(vectors)), 7);
  EXPECT_EQ(find_prompt_tokens(R"({"usage":{ "prompt_tokens" : 12 },"data":[)" + vectors + "]}"),
            12);
  EXPECT_EQ(find_prompt_tokens("{" + vectors + R"("prompt_tokens":5)" + vectors), -1);
  EXPECT_EQ(find_prompt_tokens(R"({"prompt_tokens":null})"), -1);
  EXPECT_EQ(find_prompt_tokens(R"({"prompt_tokens")"), -1);
  EXPECT_EQ(find_prompt_tokens(""), -1);
}

TEST(ErrorMessage, ReadsEveryShapeOfError) {
  EXPECT_EQ(error_message(R"({"error":{"message":"a","type":"t"},"detail":"b"})"), "'a'");
  EXPECT_EQ(error_message(R"({"error":"a"})"), "'a'");
  EXPECT_EQ(error_message(R"({"error":"not_found","detail":"it is off"})"),
            "'not_found: it is off'");
  EXPECT_EQ(error_message(R"({"detail":[{"msg":"x"}]})"), R"('[{"msg":"x"}]')");
  EXPECT_EQ(error_message("<html>\n"), "'<html>\\x0a'");
  EXPECT_EQ(error_message("  "), "empty body");
  EXPECT_LT(error_message(std::string(100000, '[')).size(), 300u);
  // Whole, but nested so deep that to walk it would overflow the stack.
  const std::string deep = std::string(30000, '[') + std::string(30000, ']');
  EXPECT_LT(error_message(concat(R"({"error":)", deep, "}")).size(), 300u);
}

}  // namespace
}  // namespace sis::perf
