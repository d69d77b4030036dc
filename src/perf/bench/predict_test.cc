// Whole `sis bench predict` commands against a scripted server.
#include <gtest/gtest.h>

#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>

#include "net/http_client_test_server.h"
#include "perf/bench/bench_fixture.h"

namespace sis::perf {
namespace {

using net::plain_answer;
using net::ScriptedServer;

// Classifies any text as good; remembers what was asked. "odd" texts get answers that are wrong.
class FakeClassifier {
 public:
  FakeClassifier()
      : server_([this](ScriptedServer::Peer& peer) {
          for (std::string request; !(request = peer.read_request()).empty();)
            peer.send(answer(request));
        }) {}
  std::string url() const { return server_.url(); }
  std::map<std::string, int> requests() {  // by path and number of texts
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  size_t distinct_texts() {
    const std::lock_guard lock(mutex_);
    return texts_.size();
  }

 private:
  static nlohmann::json prediction(const std::string& text) {
    if (text.find("odd") != std::string::npos) return {{"sentiment", "good"}, {"confidence", 7}};
    return {{"text", text}, {"sentiment", "good"}, {"confidence", 0.5}, {"model_version", "1"}};
  }
  std::string answer(const std::string& request) {
    const std::string path = request.substr(5, request.find(' ', 5) - 5);
    const auto body = nlohmann::json::parse(request.substr(request.find("\r\n\r\n") + 4));
    std::vector<std::string> texts;
    if (body.contains("text")) texts.push_back(body["text"]);
    if (body.contains("texts")) texts = body["texts"];
    const std::lock_guard lock(mutex_);
    ++requests_[path + " " + std::to_string(texts.size())];
    texts_.insert(texts.begin(), texts.end());
    if (path == "/predict") return plain_answer(prediction(texts.at(0)).dump());
    nlohmann::json predictions = nlohmann::json::array();
    for (const auto& text : texts) predictions.push_back(prediction(text));
    return plain_answer(nlohmann::json{{"predictions", predictions}}.dump());
  }

  std::mutex mutex_;
  std::map<std::string, int> requests_;
  std::set<std::string> texts_;
  ScriptedServer server_;
};

TEST(BenchPredict, MeasuresEveryBatchSize) {
  FakeClassifier server;
  const Output output = bench_with({"predict", "--base-url", server.url() + "/v1", "--n-requests",
                                    "4", "--batch", "1,3", "--distinct", "--json", "-"});
  EXPECT_EQ(output.exit_code, 0) << output.messages;
  EXPECT_EQ(server.requests(),
            (std::map<std::string, int>{{"/predict 1", 4}, {"/predict_batch 3", 4}}));
  EXPECT_EQ(server.distinct_texts(), 16u);
  const auto runs = nlohmann::json::parse(output.out)["runs"];
  ASSERT_EQ(runs.size(), 2u);
  EXPECT_NE(runs[1]["load"].get<std::string>().find("3 texts"), std::string::npos);
}

TEST(BenchPredict, WrongAnswersAreFailures) {
  FakeClassifier server;
  const Output output = bench_with({"predict", "--base-url", server.url(), "--text", "odd",
                                    "--n-requests", "2", "--batch", "2"});
  EXPECT_EQ(output.exit_code, 1);
  EXPECT_NE((output.out + output.messages).find("confidence"), std::string::npos) << output.out;
}

TEST(BenchPredict, BatchesAreWholeNumbers) {
  const Output output = bench_with({"predict", "--batch", "1,many"});
  EXPECT_EQ(output.exit_code, 2);
  EXPECT_NE(output.messages.find("--batch: want whole numbers 1..10000, got '1,many'"),
            std::string::npos)
      << output.messages;
}

}  // namespace
}  // namespace sis::perf
