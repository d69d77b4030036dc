// `sis bench chat` against a scripted server.
#include <gtest/gtest.h>

#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "net/http_client_test_server.h"
#include "perf/bench/bench_fixture.h"
#include "perf/load/chat_test_events.h"

namespace sis::perf {
namespace {

using net::plain_answer;
using net::ScriptedServer;

// Lists models and answers chats of 3 pieces and 6 tokens; remembers the last body of each model.
class ChatServer {
 public:
  explicit ChatServer(std::string models = R"([{"id":"vectors","embedding_dimensions":2},
                                              {"id":"talks","embedding_dimensions":null}])")
      : models_(std::move(models)), server_([this](ScriptedServer::Peer& peer) {
          for (std::string request; !(request = peer.read_request()).empty();)
            peer.send(answer(request));
        }) {}
  std::string url() const { return server_.url(); }
  int requests() const { return server_.requests(); }
  nlohmann::json last(const std::string& model) {
    const std::lock_guard lock(mutex_);
    return bodies_[model];
  }

 private:
  std::string answer(const std::string& request) {
    if (request.starts_with("GET /v1/models "))
      return plain_answer(concat(R"({"object":"list","data":)", models_, "}"));
    if (!request.starts_with("POST /v1/chat/completions "))
      return plain_answer(R"({"detail":"no such path"})", 404);
    const auto body = nlohmann::json::parse(request.substr(request.find("\r\n\r\n") + 4));
    {
      const std::lock_guard lock(mutex_);
      bodies_[body["model"]] = body;
    }
    if (body["model"] == "busy")
      return plain_answer(R"({"error":{"message":"queue is full"}})", 429);
    if (body["model"] == "dies")
      return concat(kStreamHead, http_chunk(role_event("a")),
                    http_chunk("data: {\"error\":{\"message\":\"engine stopped\"}}\n\n"),
                    http_chunk(""));
    if (body["stream"] == false)
      return plain_answer(
          R"({"id":"a","choices":[{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}],)"
          R"("usage":{"prompt_tokens":10,"completion_tokens":6,"prompt_tokens_details":{"cached_tokens":4}}})");
    return concat(kStreamHead, http_chunk(good_stream("a", 3)), http_chunk(""));
  }

  std::mutex mutex_;
  std::string models_;
  std::map<std::string, nlohmann::json> bodies_;
  ScriptedServer server_;
};

TEST(BenchChat, ReportsTokensAndTheirTimes) {
  ChatServer server;
  const Output output = bench_with({"chat", "--base-url", server.url(), "--n-requests", "30",
                                    "--slo-ttft", "60000", "--slo-itl", "1m"});
  EXPECT_EQ(output.exit_code, 0) << output.messages;
  for (const char* text :
       {"chat:        talks at http", "streamed, prompt: 'Hello, how are you?', repeated",
        "requests:    30\n", "concurrency: 5\n", "successes:   30\n", "failures:    0\n",
        "429:         0\n", "latency ms:  p50 ", "ttft ms:     p50 ", "itl ms:      p50 ",
        "(60 gaps)", "tpot ms:     p50 ", "180 tokens in all, 6.00 per answer (6 to 6)\n",
        "300 tokens in all, 10.0 per request, 40.0 % from a prefix cache\n",
        "goodput:     100.0 % of requests, ",
        "first token within 60,000 ms and 99 % of the gaps within 60,000 ms\n"})
    EXPECT_NE(output.out.find(text), std::string::npos) << text << "\n" << output.out;
  const auto body = server.last("talks");
  EXPECT_EQ(body["max_tokens"], 128);
  EXPECT_EQ(body["temperature"], 0.7);
  EXPECT_EQ(body["top_p"], 0.9);
  EXPECT_EQ(body["stream"], true);
  EXPECT_EQ(body["messages"],
            nlohmann::json::parse(R"([{"role":"user","content":"Hello, how are you?"}])"));
}

TEST(BenchChat, TheDocumentedModelIsTakenWhereItIsListed) {
  ChatServer server(R"([{"id":"talks"},{"id":"Qwen/Qwen3-VL-2B-Instruct"}])");
  EXPECT_EQ(bench_with({"chat", "--base-url", server.url(), "--n-requests", "2"}).exit_code, 0);
  EXPECT_FALSE(server.last("Qwen/Qwen3-VL-2B-Instruct").is_null());
  EXPECT_TRUE(server.last("talks").is_null());
}

// A server without models and one that has yet to load them are told apart.
TEST(BenchChat, SaysThatAServerIsStillLoading) {
  const auto message = [](const std::string& models, const std::string& ready) {
    net::ScriptedServer server([&](ScriptedServer::Peer& peer) {
      for (std::string request; !(request = peer.read_request()).empty();)
        peer.send(request.starts_with("GET /v1/models ") ? models
                  : request.starts_with("GET /ready ")   ? ready
                                                         : plain_answer("{}", 404));
    });
    const Output output = bench_with({"chat", "--base-url", server.url() + "/v1"});
    EXPECT_EQ(output.exit_code, 1);
    return output.messages;
  };
  const std::string empty = plain_answer(R"({"object":"list","data":[]})");
  const auto loading = message(empty, plain_answer(R"({"status":"loading"})", 503));
  EXPECT_NE(loading.find("still loading"), std::string::npos) << loading;
  EXPECT_EQ(loading.find("--models"), std::string::npos) << loading;
  // llama-server answers so on every path.
  const auto refused =
      message(plain_answer(R"({"error":{"message":"Loading model"}})", 503), plain_answer("", 503));
  EXPECT_NE(refused.find("status 503 ('Loading model')"), std::string::npos) << refused;
  EXPECT_NE(refused.find("still loading"), std::string::npos) << refused;
  EXPECT_EQ(refused.find("--models"), std::string::npos) << refused;
  for (const std::string& ready : {plain_answer(R"({"status":"ready"})"), plain_answer("", 404)}) {
    const auto none = message(empty, ready);
    EXPECT_NE(none.find("the server lists no model; name one with --models"), std::string::npos)
        << none;
  }
}

TEST(BenchChat, TakesTheOldScriptsEnvironment) {
  ChatServer server;
  const Output output = bench_with({"chat"}, {{"BASE_URL", server.url() + "/v1/"},
                                              {"MODEL_NAME", "mine"},
                                              {"PROMPT", "hi"},
                                              {"MAX_TOKENS", "9"},
                                              {"TEMPERATURE", "0"},
                                              {"TOP_P", "1"},
                                              {"N_REQUESTS", "8"},
                                              {"CONCURRENCY", "2"},
                                              {"TIMEOUT", "20"},
                                              {"VERIFY_SSL", "0"},
                                              {"VERBOSE", "1"}});
  EXPECT_EQ(output.exit_code, 0) << output.messages;
  EXPECT_EQ(server.requests(), 8);
  const auto body = server.last("mine");
  EXPECT_EQ(body["messages"][0]["content"], "hi");
  EXPECT_EQ(body["max_tokens"], 9);
  EXPECT_EQ(body["temperature"], 0);
  EXPECT_EQ(body["top_p"], 1);
}

TEST(BenchChat, FlagsShapeTheRequest) {
  ChatServer server;
  const std::string path = testing::TempDir() + "perf_bench_prompts.txt";
  std::ofstream(path) << "one\n";
  const Output output =
      bench_with({"chat", "--base-url", server.url(), "--model-name", "m", "--prompt-file", path,
                  "--system", "be brief", "--shared-prefix", "5", "--distinct", "--ignore-eos",
                  "--max-tokens=3", "--extra", R"({"seed":1})", "--no-stream", "--n-requests", "3"},
                 {{"PROMPT", "not this"}, {"LENGTHS", "500"}});
  std::remove(path.c_str());
  EXPECT_EQ(output.exit_code, 0) << output.messages << output.out;
  const auto body = server.last("m");
  EXPECT_EQ(body["stream"], false);
  EXPECT_FALSE(body.contains("stream_options"));
  EXPECT_EQ(body["ignore_eos"], true);
  EXPECT_EQ(body["seed"], 1);
  EXPECT_EQ(body["messages"][0]["content"], "be brief");
  const std::string prompt = body["messages"][1]["content"];
  EXPECT_EQ(split(prompt, ' ').size(), 5u + 6 + 1) << prompt;
  EXPECT_TRUE(prompt.ends_with(" one"));
  EXPECT_EQ(output.out.find("ttft"), std::string::npos) << output.out;
  EXPECT_NE(output.out.find("18 tokens in all, 6.00 per answer"), std::string::npos) << output.out;

  const Output made_up = bench_with({"chat", "--base-url", server.url(), "--model-name", "m",
                                     "--prompt-tokens", "20", "--n-requests", "3"});
  EXPECT_EQ(made_up.exit_code, 0) << made_up.messages;
  EXPECT_EQ(split(server.last("m")["messages"][0]["content"].get<std::string>(), ' ').size(), 20u);
}

TEST(BenchChat, JsonHoldsEverythingAndSeveralModels) {
  ChatServer server;
  const Output output =
      bench_with({"chat", "--base-url", server.url(), "--models", "a,busy,dies", "--n-requests",
                  "12", "--api-key", "secret", "--slo-ttft", "60000", "--json", "-"});
  EXPECT_EQ(output.exit_code, 1);  // two of them answered nothing well
  EXPECT_EQ(output.out.find("secret"), std::string::npos);
  const auto json = nlohmann::json::parse(output.out);
  ASSERT_EQ(json["runs"].size(), 3u);
  const auto& good = json["runs"][0];
  EXPECT_EQ(good["what"], "chat");
  EXPECT_EQ(good["model"], "a");
  EXPECT_EQ(good["successes"], 12);
  EXPECT_EQ(good["prompt_tokens"], 120);
  EXPECT_EQ(good["cached_tokens"], 48);
  EXPECT_EQ(good["output_tokens"], 72);
  EXPECT_EQ(good["answers_with_output_tokens"], 12);
  EXPECT_GT(good["output_tokens_per_s"].get<double>(), 0);
  EXPECT_EQ(good["ttft_ms"]["count"], 12);
  EXPECT_EQ(good["itl_ms"]["count"], 24);
  for (const char* name : {"p50", "p90", "p99", "max"})
    EXPECT_TRUE(good["ttft_ms"].contains(name)) << name;
  EXPECT_TRUE(good.contains("tpot_ms"));
  EXPECT_EQ(good["goodput"]["answers"], 12);
  EXPECT_EQ(good["goodput"]["share"], 1.0);
  EXPECT_EQ(good["goodput"]["slo_ttft_ms"], 60000.0);
  EXPECT_TRUE(good["goodput"]["slo_itl_ms"].is_null());
  EXPECT_EQ(good["verdict"].get<std::string>().find("failed"), std::string::npos);
  const auto& busy = json["runs"][1];
  EXPECT_EQ(busy["status_429"], 12);
  EXPECT_EQ(busy["verdict"], "failed");
  EXPECT_TRUE(busy["output_tokens"].is_null());
  const auto& dies = json["runs"][2];
  EXPECT_EQ(dies["failures_by_kind"]["body"], 12);
  EXPECT_EQ(dies["errors"][0]["message"], "error event: 'engine stopped'");
}

TEST(BenchChat, WrongFlagsNameThemselves) {
  const std::tuple<std::vector<std::string>, std::map<std::string, std::string>, std::string>
      cases[] = {
          {{"--max-tokens", "0"}, {}, "--max-tokens: want a whole number 1..1000000, got '0'"},
          {{}, {{"MAX_TOKENS", "x"}}, "MAX_TOKENS: want a whole number"},
          {{"--temperature", "hot"}, {}, "--temperature: want a number"},
          {{"--top-p", "1.1"}, {}, "--top-p: want a number"},
          {{"--extra", "[]"}, {}, "--extra: want a JSON object, got '[]'"},
          {{"--extra", R"({"stream":true})"}, {}, "--extra: want fields other than 'stream'"},
          {{"--slo-ttft", "0"}, {}, "--slo-ttft: want milliseconds above 0"},
          {{"--slo-itl", "fast"}, {}, "--slo-itl: want milliseconds above 0"},
          {{"--slo-itl", "5", "--no-stream"}, {}, "want streamed answers, not --no-stream"},
          {{"--prompt", "a", "--lengths", "5"},
           {},
           "--prompt, --prompt-file, --lengths: want only"},
          {{"--prompt-tokens", "x"}, {}, "lengths 'x'"},
          {{"--prompt-file", "/nonexistent"}, {}, "No such file"},
          {{}, {{"PROMPT_FILE", "a"}, {"LENGTHS", "5"}}, "PROMPT_FILE, LENGTHS: want only one"},
          {{"--shuffle"}, {}, "wants --prompt-file"},
          {{"--system", "\xff"}, {}, "--system: want UTF-8"},
          {{"--prompt", "\xff"}, {}, "--prompt: want UTF-8"},
          {{"--model-name", "\xff"}, {}, "is not UTF-8"},
          {{"--shared-prefix", "-1"}, {}, "--shared-prefix: want a whole number"},
          {{"hello"}, {}, "want flags only, got 'hello'"},
      };
  for (const auto& [arguments, environment, want] : cases) {
    std::vector<std::string> all = {"chat"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const Output output = bench_with(all, environment);
    EXPECT_EQ(output.exit_code, 2) << want;
    EXPECT_NE(output.messages.find(want), std::string::npos)
        << "got: " << output.messages << "want: " << want;
    EXPECT_EQ(output.out, "");
  }
}

}  // namespace
}  // namespace sis::perf
