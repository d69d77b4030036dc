// Flags and environment, and whole commands against a scripted server.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "net/http_client_test_server.h"
#include "perf/bench/bench_fixture.h"

namespace sis::perf {
namespace {

using net::plain_answer;
using net::ScriptedServer;

TEST(Flags, FlagWinsOverEnvironmentWinsOverDefault) {
  const auto read = [](std::vector<std::string> arguments,
                       std::map<std::string, std::string> environment) {
    LoadFlags load;
    FlagSet flags("", "");
    load.add_to(flags);
    const auto others = flags.parse(arguments, environment_of(std::move(environment)));
    EXPECT_TRUE(others.ok()) << (others.ok() ? "" : others.error().message);
    return load;
  };
  EXPECT_EQ(read({}, {}).requests, 20);
  EXPECT_EQ(read({}, {}).concurrencies.values.front(), 5);
  EXPECT_EQ(read({}, {}).timeout, from_seconds(30));
  EXPECT_FALSE(read({}, {}).verify_ssl);
  EXPECT_EQ(read({}, {{"N_REQUESTS", "7"}}).requests, 7);
  EXPECT_EQ(read({}, {{"N_REQUESTS", ""}}).requests, 20);  // set but empty
  EXPECT_EQ(read({"--n-requests", "9"}, {{"N_REQUESTS", "7"}}).requests, 9);
  EXPECT_EQ(read({"--n-requests=9", "--concurrency=3"}, {{"CONCURRENCY", "8"}})
                .concurrencies.values.front(),
            3);
  // Behind "--", as the older scripts were called.
  EXPECT_EQ(read({"--", "--n-requests", "40", "--concurrency", "4"}, {}).requests, 40);
  EXPECT_EQ(read({"--timeout", "250ms"}, {}).timeout, from_ms(250));
  EXPECT_TRUE(read({}, {{"VERIFY_SSL", "1"}}).verify_ssl);
  EXPECT_FALSE(read({"--no-verify-ssl"}, {{"VERIFY_SSL", "1"}}).verify_ssl);
  EXPECT_TRUE(read({"--verbose"}, {{"VERBOSE", "0"}}).verbose);
  EXPECT_EQ(read({"--warmup", "30"}, {}).warmup_requests, 30u);
  EXPECT_EQ(read({"--warmup", "2s"}, {}).warmup_duration, from_seconds(2));
}

TEST(Flags, WrongValuesNameWhereTheyCameFrom) {
  const std::tuple<std::vector<std::string>, std::map<std::string, std::string>, std::string>
      cases[] = {
          {{"--n-requests", "many"},
           {},
           "--n-requests: want a whole number 1..1000000000000, got 'many'"},
          {{"--n-requests", "0"}, {}, "--n-requests: want a whole number"},
          {{}, {{"N_REQUESTS", "1.5"}}, "N_REQUESTS: want a whole number"},
          {{}, {{"TIMEOUT", "soon"}}, "TIMEOUT: want a time"},
          {{"--rate", "nan"}, {}, "--rate: want a number"},
          {{"--rate", "-3"}, {}, "--rate: want a number"},
          {{}, {{"VERIFY_SSL", "maybe"}}, "VERIFY_SSL: want 1 or 0"},
          {{"--arrivals", "bursts", "--rate", "5"}, {}, "--arrivals: want constant or poisson"},
          {{"--warmup", "soon"}, {}, "--warmup: want"},
          {{"--warmup", "-1"}, {}, "--warmup: want"},
          {{"--n-requests"}, {}, "--n-requests: want a value"},
          {{"--no-rate"}, {}, "unknown flag '--no-rate'"},
          {{"--frobnicate"}, {}, "unknown flag '--frobnicate'"},
          {{"-n", "5"}, {}, "unknown flag '-n'"},
          {{"hello"}, {}, "want flags only, got 'hello'"},
          {{"--base-url", "localhost"}, {}, "--base-url: URL 'localhost'"},
          {{}, {{"BASE_URL", "ftp://x"}}, "BASE_URL: URL 'ftp://x'"},
          {{"--text", "a", "--lengths", "5"}, {}, "want only one of them"},
          {{"--lengths", "x"}, {}, "lengths 'x'"},
          {{"--text-file", "/nonexistent"}, {}, "No such file"},
          {{"--shuffle"}, {}, "wants --text-file"},
          {{"--rate", "5", "--pipeline", "2"}, {}, "--pipeline: want 1"},
          {{"--arrivals", "poisson"}, {}, "--arrivals: wants --rate"},
          {{"--models", " , "}, {}, "--models: want model names"},
      };
  for (const auto& [arguments, environment, want] : cases) {
    std::vector<std::string> all = {"embeddings"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const Output output = bench_with(all, environment);
    EXPECT_EQ(output.exit_code, 2) << want;
    EXPECT_NE(output.messages.find(want), std::string::npos)
        << "got: " << output.messages << "want: " << want;
    EXPECT_EQ(output.out, "");
  }
}

TEST(Bench, UsageAndHelp) {
  EXPECT_EQ(bench_with({}).exit_code, 2);
  EXPECT_EQ(bench_with({"frobnicate"}).exit_code, 2);
  EXPECT_EQ(bench_with({"http"}).exit_code, 2);
  EXPECT_EQ(bench_with({"http", "http://a", "http://b"}).exit_code, 2);
  for (const char* what : {"chat", "embeddings", "http"}) {
    const Output help = bench_with({what, "--help"});
    EXPECT_EQ(help.exit_code, 0);
    for (const char* text : {"--n-requests", "N_REQUESTS", "(20)", "--json"})
      EXPECT_NE(help.out.find(text), std::string::npos) << text;
  }
}

TEST(ShownCommand, QuotesAndHidesSecrets) {
  EXPECT_EQ(
      shown_command({"embeddings", "--text", "it's", "--api-key", "secret", "--n-requests=5"}),
      "embeddings --text 'it'\\''s' --api-key *** --n-requests=5");
  EXPECT_EQ(shown_command({"--api-key=secret", "--header", "Authorization: Bearer secret"}),
            "--api-key=*** --header 'Authorization: ***'");
  EXPECT_EQ(shown_command({"--header=Cookie: secret"}), "'--header=Cookie: ***'");
  EXPECT_EQ(shown_command({"--header", "X-Mine: secret", "-H", "X-Other:secret", "-HX:secret"}),
            "--header 'X-Mine: ***' -H 'X-Other: ***' '-HX: ***'");
  EXPECT_EQ(shown_command({"--header", "--api-key=x"}), "--header ***");
  EXPECT_EQ(
      shown_command({"--set", "api_key=secret", "--set=vars.Password=a=b", "--set", "users=20"}),
      "--set api_key=*** --set=vars.Password=*** --set users=20");
  EXPECT_EQ(shown_command({"http", "http://me:secret@host/a@b?key=secret", "--url=https://h/?k=s",
                           "--max-tokens", "5"}),
            "http 'http://***@host/a@b?***' '--url=https://h/?***' --max-tokens 5");
}

// Lists two models and answers embeddings for any text; remembers what was asked.
class FakeServer {
 public:
  FakeServer()
      : server_([this](ScriptedServer::Peer& peer) {
          for (std::string request; !(request = peer.read_request()).empty();)
            peer.send(answer(request));
        }) {}
  std::string url() const { return server_.url(); }
  std::map<std::string, int> models() {
    const std::lock_guard lock(mutex_);
    return models_;
  }

 private:
  std::string answer(const std::string& request) {
    if (request.starts_with("GET /v1/models "))
      return plain_answer(
          R"({"object":"list","data":[{"id":"chatty","embedding_dimensions":null},{"id":"first","embedding_dimensions":2}]})");
    if (!request.starts_with("POST /v1/embeddings "))
      return plain_answer(R"({"detail":"no such path"})", 404);
    const auto body = nlohmann::json::parse(request.substr(request.find("\r\n\r\n") + 4));
    {
      const std::lock_guard lock(mutex_);
      ++models_[body["model"]];
    }
    if (body["model"] == "busy") return plain_answer(R"({"detail":"queue is full"})", 429);
    const size_t texts = body["input"].is_array() ? body["input"].size() : 1;
    nlohmann::json data = nlohmann::json::array();
    for (size_t i = 0; i < texts; ++i) data.push_back({{"index", i}, {"embedding", {0.5, -0.5}}});
    return plain_answer(
        nlohmann::json{{"data", data}, {"usage", {{"prompt_tokens", 3 * texts}}}}.dump());
  }

  std::mutex mutex_;
  std::map<std::string, int> models_;
  ScriptedServer server_;
};

TEST(BenchEmbeddings, MeasuresTheFirstModelOfTheServer) {
  FakeServer server;
  const Output output =
      bench_with({"embeddings", "--base-url", server.url(), "--n-requests", "30", "--batch", "4"});
  EXPECT_EQ(output.exit_code, 0) << output.messages;
  EXPECT_EQ(server.models(), (std::map<std::string, int>{{"first", 30}}));
  for (const char* text :
       {"requests:    30\n", "concurrency: 5\n", "successes:   30\n", "failures:    0\n",
        "429:         0\n", "latency ms:  p50 ", "throughput:  ", "360 in all"})
    EXPECT_NE(output.out.find(text), std::string::npos) << text << "\n" << output.out;
}

TEST(BenchEmbeddings, TakesTheOldScriptsEnvironment) {
  FakeServer server;
  const Output output = bench_with({"embeddings"}, {{"BASE_URL", server.url() + "/v1/"},
                                                    {"MODEL_NAME", "mine"},
                                                    {"N_REQUESTS", "8"},
                                                    {"TEXT", "hi"}});
  EXPECT_EQ(output.exit_code, 0) << output.messages;
  EXPECT_EQ(server.models(), (std::map<std::string, int>{{"mine", 8}}));
}

TEST(BenchEmbeddings, JsonHoldsEverythingAndSeveralModels) {
  FakeServer server;
  const Output output =
      bench_with({"embeddings", "--base-url", server.url(), "--models", "a,busy", "--n-requests",
                  "12", "--seed", "5", "--api-key", "secret", "--json", "-"});
  EXPECT_EQ(output.exit_code, 1);  // "busy" answered nothing well
  EXPECT_EQ(output.out.find("secret"), std::string::npos);
  const auto json = nlohmann::json::parse(output.out);
  EXPECT_EQ(json["tool"], "sis bench");
  EXPECT_FALSE(json["version"].get<std::string>().empty());
  EXPECT_GE(json["machine"]["cores"], 1);
  EXPECT_EQ(json["started"].get<std::string>().size(), 20u);
  EXPECT_NE(json["command"].get<std::string>().find("--models a,busy"), std::string::npos);
  ASSERT_EQ(json["runs"].size(), 2u);
  const auto& good = json["runs"][0];
  EXPECT_EQ(good["model"], "a");
  EXPECT_EQ(good["seed"], 5);
  EXPECT_EQ(good["successes"], 12);
  EXPECT_EQ(good["texts"], 12);
  EXPECT_EQ(good["prompt_tokens"], 36);
  EXPECT_EQ(good["latency_ms"]["count"], 12);
  uint64_t counted = 0;
  for (const auto& entry : good["latency_ms"]["counts_up_to_ms"])
    counted += entry[1].get<uint64_t>();
  EXPECT_EQ(counted, 12u);
  const auto& busy = json["runs"][1];
  EXPECT_EQ(busy["status_429"], 12);
  EXPECT_EQ(busy["verdict"], "failed");
  EXPECT_EQ(busy["errors"][0]["message"], "status 429: 'queue is full'");
  // The words go to the other stream.
  EXPECT_NE(output.messages.find("429:         12"), std::string::npos) << output.messages;
}

TEST(BenchEmbeddings, NothingListeningExitsWithOne) {
  std::string url;
  { url = FakeServer().url(); }
  for (const std::vector<std::string>& model : {std::vector<std::string>{}, {"--models", "m"}}) {
    std::vector<std::string> arguments = {"embeddings", "--base-url", url};
    arguments.insert(arguments.end(), model.begin(), model.end());
    const Output output = bench_with(arguments);
    EXPECT_EQ(output.exit_code, 1);
    EXPECT_NE(output.messages.find("Connection refused"), std::string::npos) << output.messages;
  }
}

TEST(BenchEmbeddings, TextsOfAFile) {
  FakeServer server;
  const std::string path = testing::TempDir() + "perf_bench_lines.txt";
  std::ofstream(path) << "one\ntwo\nthree\n";
  const Output output =
      bench_with({"embeddings", "--base-url", server.url(), "--text-file", path, "--shuffle",
                  "--distinct", "--n-requests", "6", "--lengths=", "--verbose"},
                 {});
  std::remove(path.c_str());
  // --lengths given by flag, even empty, is a second source of texts.
  EXPECT_EQ(output.exit_code, 2) << output.out;
  std::ofstream(path) << "one\ntwo\nthree\n";
  const Output good = bench_with({"embeddings", "--base-url", server.url(), "--text-file", path,
                                  "--shuffle", "--distinct", "--n-requests", "6"},
                                 {{"LENGTHS", "500"}});
  std::remove(path.c_str());
  EXPECT_EQ(good.exit_code, 0) << good.messages;
  EXPECT_NE(good.out.find("3 lines of"), std::string::npos) << good.out;
}

TEST(BenchHttp, AnyRequestAndExpectedStatus) {
  FakeServer server;
  EXPECT_EQ(bench_with({"http", server.url() + "/v1/models", "--n-requests", "5"}).exit_code, 0);
  EXPECT_EQ(bench_with({"http", server.url() + "/nothing", "--n-requests", "5"}).exit_code, 1);
  EXPECT_EQ(
      bench_with({"http", server.url() + "/nothing", "--n-requests", "5", "--expect-status", "404"})
          .exit_code,
      0);
  EXPECT_EQ(bench_with({"http", server.url(), "--header", "no colon"}).exit_code, 2);
  EXPECT_EQ(bench_with({"http", server.url(), "--header", "A: b\r\nC: d"}).exit_code, 2);
  const Output post =
      bench_with({"http", server.url() + "/v1/embeddings", "--body", R"({"model":"m","input":"x"})",
                  "--header", "Content-Type: application/json", "--n-requests", "5"});
  EXPECT_EQ(post.exit_code, 0) << post.out;
}

}  // namespace
}  // namespace sis::perf
