// Whole `sis bench rerank` commands against a scripted server of every shape.
#include <gtest/gtest.h>

#include <set>

#include "perf/bench/bench_fixture.h"
#include "perf/bench/scripted_json_server.h"

namespace sis::perf {
namespace {

using Json = nlohmann::json;
using net::plain_answer;

// The last document is the best one.
Json ranked(size_t documents, size_t wanted, const char* score) {
  Json results = Json::array();
  for (size_t i = 0; i < wanted; ++i)
    results.push_back({{"index", documents - 1 - i}, {score, 1.0 - 0.1 * static_cast<double>(i)}});
  return results;
}

TEST(BenchRerank, SpeaksEveryShape) {
  struct Case {
    std::string shape, path, documents, score;
  };
  for (const Case& one : {Case{"own", "/v1/rerank", "documents", "relevance_score"},
                          Case{"cohere", "/v2/rerank", "documents", "relevance_score"},
                          Case{"jina", "/v1/rerank", "documents", "relevance_score"},
                          Case{"tei", "/rerank", "texts", "score"}}) {
    ScriptedJsonServer server([&](const Asked& asked) {
      const Json body = asked.json();
      const Json results =
          ranked(body[one.documents].size(), body[one.documents].size(), one.score.c_str());
      return plain_answer(
          one.shape == "tei" ? results.dump()
                             : Json{{"results", results}, {"usage", {{"total_tokens", 9}}}}.dump());
    });
    const Output output = bench_with({"rerank", "--base-url", server.url() + "/v1", "--model", "m",
                                      "--shape", one.shape, "--documents", "4", "--n-requests", "6",
                                      "--distinct", "--json", "-"});
    ASSERT_EQ(output.exit_code, 0) << one.shape << output.messages;
    const Json run = Json::parse(output.out)["runs"][0];
    EXPECT_EQ(run["successes"], 6);
    EXPECT_EQ(run["documents"], 24);
    EXPECT_EQ(run["prompt_tokens"], one.shape == "tei" ? Json() : Json(54));
    std::set<std::string> queries;
    for (const Asked& asked : server.asked()) {
      EXPECT_EQ(asked.path, one.path);
      queries.insert(asked.json()["query"]);
      EXPECT_EQ(asked.json().contains("model"), one.shape != "tei");
      EXPECT_EQ(asked.json().contains("return_documents"), one.shape == "jina");
    }
    EXPECT_EQ(queries.size(), 6u);
  }
}

TEST(BenchRerank, WrongAnswersSayWhy) {
  const std::pair<Json, const char*> kCases[] = {
      {Json{{"result", 1}}, "answer has no array 'results'"},
      {Json{{"results", ranked(3, 2, "relevance_score")}}, "answer has 2 results, want 3 of 3"},
      {Json{{"results", ranked(9, 3, "relevance_score")}}, "results[0].index: want 0..2"},
      {Json{{"results", ranked(3, 3, "score")}}, "results[0].relevance_score: want a number"},
      {Json{{"results",
             {{{"index", 0}, {"relevance_score", 1}}, {{"index", 0}, {"relevance_score", 0}}}}},
       "document 0 is there twice"},
      {Json{{"results",
             {{{"index", 0}, {"relevance_score", 1}}, {{"index", 1}, {"relevance_score", 2}}}}},
       "want scores that fall, found 2 after 1"},
  };
  for (const auto& [answer, why] : kCases) {
    ScriptedJsonServer server([&](const Asked&) { return plain_answer(answer.dump()); });
    const Output output = bench_with({"rerank", "--base-url", server.url(), "--model", "m",
                                      "--documents", "3", "--n-requests", "1"});
    EXPECT_EQ(output.exit_code, 1);
    EXPECT_NE(output.out.find(why), std::string::npos) << output.out;
  }
}

TEST(BenchRerank, FlagsAreChecked) {
  const Output both = bench_with({"rerank", "--document", "a", "--lengths", "5"});
  EXPECT_EQ(both.exit_code, 2);
  EXPECT_NE(both.messages.find("--document, --document-file, --lengths: want only one of them"),
            std::string::npos)
      << both.messages;
  const Output top = bench_with({"rerank", "--shape", "tei", "--top-n", "2"});
  EXPECT_EQ(top.exit_code, 2);
  EXPECT_NE(top.messages.find("TEI's rerank has none"), std::string::npos) << top.messages;
}

}  // namespace
}  // namespace sis::perf
