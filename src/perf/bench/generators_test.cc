// Whole `sis bench infer`, `completions` and `chat` commands on files, against scripted servers.
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <set>

#include "perf/bench/bench_fixture.h"
#include "perf/bench/scripted_json_server.h"

namespace sis::perf {
namespace {

using Json = nlohmann::json;
using net::plain_answer;

std::string with_header(std::string answer, const std::string& header) {
  return answer.insert(answer.find("\r\n") + 2, header + "\r\n");
}

Json infer_answer(bool cached) {
  return {{"id", "x"},         {"model", "gpt-4o"},
          {"output", "Paris"}, {"latency_ms", 1.0},
          {"cached", cached},  {"usage", {{"prompt_tokens", 7}, {"completion_tokens", 2}}}};
}

Json run_of(const Output& output) { return Json::parse(output.out)["runs"][0]; }

TEST(BenchInfer, CountsCacheHitsOfTheBody) {
  int count = 0;
  ScriptedJsonServer server(
      [&](const Asked&) { return plain_answer(infer_answer(count++ % 4 != 0).dump()); });
  const Output output = bench_with({"infer", "--url", server.url(), "--token", "secret",
                                    "--requests", "20", "--concurrency", "1", "--prompt", "hi"});
  ASSERT_EQ(output.exit_code, 0) << output.messages;
  EXPECT_NE(output.out.find("cache hits: 75.00 %"), std::string::npos) << output.out;
  EXPECT_NE(output.out.find("success: 100.00 %"), std::string::npos) << output.out;
  for (const char* name : {"median", "stdev", "p95", "p99"})
    EXPECT_NE(output.out.find(name), std::string::npos) << name;
  EXPECT_EQ(server.asked()[0].path, "/v1/infer");
  EXPECT_EQ(server.asked()[0].json(), (Json{{"model", "gpt-4o"}, {"prompt", "hi"}}));
  EXPECT_NE(server.asked()[0].head.find("Authorization: Bearer secret"), std::string::npos);
}

TEST(BenchInfer, CountsCacheHitsOfTheHeader) {
  int count = 0;
  ScriptedJsonServer server([&](const Asked&) {
    Json answer = infer_answer(false);
    answer.erase("cached");
    return with_header(plain_answer(answer.dump()),
                       count++ % 2 == 0 ? "x-cache: HIT from here" : "X-Cache: miss");
  });
  const Output output = bench_with(
      {"infer", "--url", server.url(), "--requests", "10", "--concurrency", "1", "--json", "-"});
  ASSERT_EQ(output.exit_code, 0) << output.messages;
  EXPECT_EQ(run_of(output)["cache_hit_rate"], 0.5);
  EXPECT_EQ(run_of(output)["prompt_tokens"], 70);
}

TEST(BenchInfer, StreamsAreTakenToTheirEnd) {
  const std::string good =
      "event: token\ndata: {\"text\":\"Pa\",\"finish_reason\":null}\n\n"
      "event: token\ndata: {\"text\":\"ris\",\"finish_reason\":null}\n\n"
      "event: token\ndata: {\"text\":\"\",\"finish_reason\":\"stop\"}\n\n";
  const std::pair<std::string, const char*> kCases[] = {
      {good + "event: done\ndata: {}\n\n", ""},
      {good, "stream ended without the event 'done' after 3 events"},
      {"event: error\ndata: {\"error\":\"broken\"}\n\n", "error event: 'broken'"},
      {"event: token\ndata: {\"text\":\"a\"}\n\nevent: done\ndata: {}\n\n",
       "no token event has a finish_reason"},
      {good + "event: done\ndata: {}\n\nevent: token\ndata: {}\n\n", "want nothing after 'done'"},
      {"data: {}\n\n", "want token, done or error"},
      {"event: token\ndata: {\"no\":1}\n\n", "has no string 'text'"},
  };
  for (const auto& [events, why] : kCases) {
    ScriptedJsonServer server([&](const Asked&) { return event_stream(events); });
    const Output output = bench_with({"infer", "--stream", "--url", server.url(), "--requests", "4",
                                      "--concurrency", "1", "--json", "-"});
    const Json run = run_of(output);
    EXPECT_EQ(server.asked()[0].path, "/v1/infer/stream");
    if (*why == '\0') {
      EXPECT_EQ(output.exit_code, 0) << output.messages;
      EXPECT_EQ(run["ttft_ms"]["count"], 4);
      EXPECT_EQ(run["itl_ms"]["count"], 4);
    } else {
      EXPECT_EQ(output.exit_code, 1);
      EXPECT_NE(run["error_counts"].dump().find(why), std::string::npos) << run["error_counts"];
    }
  }
}

Json chunk(const std::string& text, const char* reason) {
  Json choice;
  choice["index"] = 0;
  choice["text"] = text;
  choice["finish_reason"] = reason == nullptr ? Json() : Json(reason);
  Json out;
  out["id"] = "c";
  out["choices"] = Json::array();
  out["choices"].push_back(choice);
  return out;
}

TEST(BenchCompletions, StreamsAndWholeAnswers) {
  ScriptedJsonServer server([&](const Asked& asked) {
    if (!asked.json()["stream"].get<bool>()) {
      Json whole = chunk("there was", "length");
      whole["choices"].push_back(whole["choices"][0]);
      whole["choices"][1]["index"] = 1;
      whole["usage"] = {{"prompt_tokens", 5}, {"completion_tokens", 4}};
      return plain_answer(whole.dump());
    }
    Json usage = {{"id", "c"},
                  {"choices", Json::array()},
                  {"usage", {{"prompt_tokens", 5}, {"completion_tokens", 2}}}};
    return event_stream("data: " + chunk(" there", nullptr).dump() + "\n\ndata: " +
                        chunk(" was", nullptr).dump() + "\n\ndata: " + chunk("", "length").dump() +
                        "\n\ndata: " + usage.dump() + "\n\ndata: [DONE]\n\n");
  });
  const Output streamed =
      bench_with({"completions", "--base-url", server.url(), "--model", "m", "--max-tokens", "2,4",
                  "--lengths", "3", "--distinct", "--n-requests", "40", "--json", "-"});
  ASSERT_EQ(streamed.exit_code, 0) << streamed.messages;
  EXPECT_EQ(run_of(streamed)["ttft_ms"]["count"], 40);
  EXPECT_EQ(run_of(streamed)["output_tokens"], 80);
  std::set<std::string> prompts;
  std::set<int> lengths;
  for (const Asked& asked : server.asked()) {
    prompts.insert(asked.json()["prompt"]);
    lengths.insert(asked.json()["max_tokens"].get<int>());
  }
  EXPECT_EQ(prompts.size(), 40u);
  EXPECT_EQ(lengths, (std::set<int>{2, 4}));

  const Output whole =
      bench_with({"completions", "--base-url", server.url(), "--model", "m", "--no-stream",
                  "--batch", "2", "--n-requests", "3", "--json", "-"});
  ASSERT_EQ(whole.exit_code, 0) << whole.messages << whole.out;
  EXPECT_EQ(server.asked().back().json()["prompt"].size(), 2u);
  EXPECT_EQ(run_of(whole)["output_tokens"], 12);
}

TEST(BenchCompletions, ChatAnswersAreNoCompletions) {
  ScriptedJsonServer server([&](const Asked&) {
    return plain_answer(
        R"({"id":"x","choices":[{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}]})");
  });
  const Output output = bench_with({"completions", "--base-url", server.url(), "--model", "m",
                                    "--no-stream", "--n-requests", "1"});
  EXPECT_EQ(output.exit_code, 1);
  EXPECT_NE(output.out.find("choices[0] has no string 'text'"), std::string::npos) << output.out;
  EXPECT_EQ(bench_with({"completions", "--extra", R"({"prompt":"x"})"}).exit_code, 2);
}

constexpr const char* kChatAnswer =
    R"({"id":"x","choices":[{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}]})";

TEST(BenchChat, AsksTheConversationsOfAFile) {
  const std::string path = testing::TempDir() + "generators_test_sharegpt.json";
  std::ofstream(path) << R"([{"conversations":[{"from":"human","value":"one"},
      {"from":"gpt","value":"1"},{"from":"human","value":"two"}]}])";
  ScriptedJsonServer server([&](const Asked&) { return plain_answer(kChatAnswer); });
  const Output output = bench_with({"chat", "--base-url", server.url(), "--model", "m",
                                    "--no-stream", "--input-data", path, "--distinct", "--system",
                                    "Be short.", "--n-requests", "4", "--concurrency", "1"});
  ASSERT_EQ(output.exit_code, 0) << output.messages;
  EXPECT_NE(output.out.find("2 chats of"), std::string::npos) << output.out;
  std::set<std::string> firsts;
  for (const Asked& asked : server.asked()) {
    const Json messages = asked.json()["messages"];
    EXPECT_EQ(messages[0]["content"], "Be short.");
    const std::string first = messages[1]["content"];
    EXPECT_TRUE(first.ends_with(" one")) << first;
    firsts.insert(first);
  }
  EXPECT_EQ(server.asked()[1].json()["messages"].size(), 4u);
  EXPECT_EQ(firsts.size(), 4u);
  std::ofstream(path) << R"([{"conversations": 5}])";
  const Output wrong = bench_with({"chat", "--model", "m", "--input-data", path});
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_NE(wrong.messages.find("--input-data: " + path + ": [0].conversations: want a list"),
            std::string::npos)
      << wrong.messages;
  std::remove(path.c_str());
}

TEST(BenchChat, SendsPayloadsAsTheyAre) {
  const std::string path = testing::TempDir() + "generators_test_payload.json";
  std::ofstream(path) << R"({"data":[{"payload":[{"model":"other","messages":[],"z":1}]},
                                     {"payload":[{"messages":[],"z":2}]}]})";
  ScriptedJsonServer server([&](const Asked&) { return plain_answer(kChatAnswer); });
  const Output output =
      bench_with({"chat", "--base-url", server.url(), "--model", "m", "--input-data", path,
                  "--n-requests", "2", "--concurrency", "1"});
  ASSERT_EQ(output.exit_code, 0) << output.messages << output.out;
  EXPECT_EQ(server.asked()[0].body, R"({"model":"other","messages":[],"z":1})");
  EXPECT_EQ(server.asked()[1].json(), Json::parse(R"({"messages":[],"z":2,"model":"m"})"));
  std::ofstream(path) << R"({"data":[{"payload":[{"stream":true},{"stream":false}]}]})";
  const Output mixed = bench_with({"chat", "--model", "m", "--input-data", path});
  EXPECT_EQ(mixed.exit_code, 2);
  EXPECT_NE(mixed.messages.find("payload 1: want stream true"), std::string::npos)
      << mixed.messages;
  std::remove(path.c_str());
}

// Three groups take turns; within a group the prefix is the same, behind it the prompts differ.
TEST(BenchChat, GroupsShareTheirPrefixes) {
  ScriptedJsonServer server([&](const Asked&) { return plain_answer(kChatAnswer); });
  const Output output = bench_with(
      {"chat", "--base-url", server.url(), "--model", "m", "--no-stream", "--shared-prefix-tokens",
       "20", "--prefix-groups", "3", "--distinct", "--n-requests", "12", "--concurrency", "1"});
  ASSERT_EQ(output.exit_code, 0) << output.messages;
  std::map<std::string, int> prefixes;
  std::set<std::string> prompts;
  for (const Asked& asked : server.asked()) {
    const std::string text = asked.json()["messages"][0]["content"];
    size_t end = 0;
    for (int word = 0; word < 20; ++word) end = text.find(' ', end) + 1;
    ++prefixes[text.substr(0, end)];
    prompts.insert(text);
  }
  EXPECT_EQ(prefixes.size(), 3u);
  for (const auto& [prefix, count] : prefixes) EXPECT_EQ(count, 4) << prefix;
  EXPECT_EQ(prompts.size(), 12u);
  EXPECT_EQ(bench_with({"chat", "--prefix-groups", "3"}).exit_code, 2);
}

}  // namespace
}  // namespace sis::perf
