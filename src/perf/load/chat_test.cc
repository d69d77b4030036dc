#include "perf/load/chat.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "base/strings.h"

namespace sis::perf {
namespace {

ChatOptions base_options() {
  return ChatOptions{.url = *net::parse_url("http://localhost:8000"), .model = "m"};
}

std::unique_ptr<ChatWorkload> make(const ChatOptions& options) {
  auto workload = ChatWorkload::create(options);
  EXPECT_TRUE(workload.ok()) << (workload.ok() ? "" : workload.error().message);
  return std::move(*workload);
}

nlohmann::json body_of(std::string_view request) {
  const size_t at = request.find("\r\n\r\n");
  const std::string_view body = request.substr(at + 4);
  EXPECT_NE(request.find(concat("Content-Length: ", body.size(), "\r\n")), std::string_view::npos);
  return nlohmann::json::parse(body);
}

std::string prompt_of(const ChatWorkload& workload, uint64_t index) {
  std::string scratch;
  return body_of(workload.request(index, scratch))["messages"].back()["content"];
}

TEST(ChatWorkload, BodyHoldsTheDocumentedFields) {
  auto options = base_options();
  options.prompts.text = "caf\u00e9 \"q\" \\ \n";
  options.api_key = "k";
  std::string scratch;
  const auto workload = make(options);
  const auto request = workload->request(0, scratch);
  EXPECT_TRUE(request.starts_with("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost:8000\r\n"))
      << request;
  EXPECT_NE(request.find("Authorization: Bearer k\r\n"), std::string_view::npos);
  EXPECT_NE(request.find("Accept: text/event-stream\r\n"), std::string_view::npos);
  EXPECT_EQ(
      body_of(request),
      (nlohmann::json{{"model", "m"},
                      {"max_tokens", 128},
                      {"temperature", 0.7},
                      {"top_p", 0.9},
                      {"stream", true},
                      {"stream_options", {{"include_usage", true}}},
                      {"messages", {{{"role", "user"}, {"content", options.prompts.text}}}}}));

  options.system = "be \"brief\"";
  options.stream = false;
  options.ignore_eos = true;
  options.max_tokens = 7;
  EXPECT_EQ(body_of(make(options)->request(0, scratch)),
            (nlohmann::json{{"model", "m"},
                            {"max_tokens", 7},
                            {"temperature", 0.7},
                            {"top_p", 0.9},
                            {"stream", false},
                            {"ignore_eos", true},
                            {"messages",
                             {{{"role", "system"}, {"content", options.system}},
                              {{"role", "user"}, {"content", options.prompts.text}}}}}));
}

TEST(ChatWorkload, ExtraIsMergedAndNullTakesOut) {
  auto options = base_options();
  options.extra = R"({"temperature":null,"seed":4,"n":3,"stream_options":{"x":1},"top_p":0.5})";
  std::string scratch;
  const auto body = body_of(make(options)->request(0, scratch));
  EXPECT_FALSE(body.contains("temperature"));
  EXPECT_EQ(body["seed"], 4);
  EXPECT_EQ(body["n"], 3);
  EXPECT_EQ(body["top_p"], 0.5);
  EXPECT_EQ(body["stream_options"], (nlohmann::json{{"include_usage", true}, {"x", 1}}));

  EXPECT_TRUE(check_extra("{}").ok());
  for (const char* wrong :
       {"", "[]", "7", "{", R"({"model":"x"})", R"({"messages":[]})", R"({"stream":false})",
        R"({"n":0})", R"({"n":129})", R"({"n":"2"})", R"({"n":1.5})", "{\"a\":\"\xff\"}"})
    EXPECT_FALSE(check_extra(wrong).ok()) << wrong;
  EXPECT_EQ(check_extra(R"({"model":"x"})").error().message,
            "want fields other than 'model', which has a flag of its own");
}

TEST(ChatWorkload, RefusesAKeyThatWouldBreakTheHead) {
  auto options = base_options();
  options.api_key = "k\r\nX: y";
  EXPECT_FALSE(ChatWorkload::create(options).ok());
}

TEST(ChatWorkload, PromptsOfAListAreUsedInTurn) {
  auto options = base_options();
  options.prompts.texts = {"a", "b", "c"};
  const auto workload = make(options);
  EXPECT_EQ(workload->pool_size(), 3u);
  for (uint64_t i = 0; i < 9; ++i) EXPECT_EQ(prompt_of(*workload, i), options.prompts.texts[i % 3]);
}

// Six words no other prompt has come first, and made-up prompts keep their wanted length.
TEST(ChatWorkload, DistinctPromptsDifferFromTheirStart) {
  auto options = base_options();
  options.prompts.lengths = *LengthSpec::parse("16");
  options.distinct = true;
  options.requests = 50;
  const auto workload = make(options);
  EXPECT_EQ(workload->pool_size(), 50u);
  std::set<std::string> starts;
  for (uint64_t i = 0; i < 500; ++i) {
    const std::string prompt = prompt_of(*workload, i);
    EXPECT_EQ(split(prompt, ' ').size(), 16u);
    starts.insert(prompt.substr(0, kTagBytes + 1));
  }
  EXPECT_EQ(starts.size(), 500u);
  options.salt = 1 << 20;
  EXPECT_FALSE(starts.contains(prompt_of(*make(options), 0).substr(0, kTagBytes + 1)));

  options.prompts.lengths = LengthSpec::parse("3").value();  // shorter than the tag: only the tag
  EXPECT_EQ(prompt_of(*make(options), 0).size(), kTagBytes);
}

// The shared words are the same for all, whatever follows; the unique ones stand right behind them.
TEST(ChatWorkload, SharedPrefixStandsInFrontOfTheUniqueWords) {
  auto options = base_options();
  options.shared_prefix_words = 40;
  options.system = "s";
  const std::string once = prompt_of(*make(options), 0);
  ASSERT_TRUE(once.ends_with(" " + options.prompts.text)) << once;
  const std::string prefix = once.substr(0, once.size() - options.prompts.text.size());
  EXPECT_EQ(split(std::string(trim(prefix)), ' ').size(), 40u);

  options.distinct = true;
  options.prompts.lengths = *LengthSpec::parse("uniform:10:30");
  const auto workload = make(options);
  std::set<std::string> tags;
  for (uint64_t i = 0; i < 100; ++i) {
    const std::string prompt = prompt_of(*workload, i);
    ASSERT_TRUE(prompt.starts_with(prefix));
    tags.insert(prompt.substr(prefix.size(), kTagBytes));
  }
  EXPECT_EQ(tags.size(), 100u);
}

// A system message is the prompt's start: the unique words stand there.
TEST(ChatWorkload, DistinctReachesBeforeTheSystemMessage) {
  auto options = base_options();
  options.system = "be brief";
  options.distinct = true;
  const auto workload = make(options);
  std::set<std::string> systems;
  for (uint64_t i = 0; i < 20; ++i) {
    std::string scratch;
    const auto body = body_of(workload->request(i, scratch));
    const std::string system = body["messages"][0]["content"];
    EXPECT_EQ(system.substr(kTagBytes), " be brief");
    EXPECT_EQ(body["messages"][1]["content"], options.prompts.text);
    systems.insert(system);
  }
  EXPECT_EQ(systems.size(), 20u);
}

}  // namespace
}  // namespace sis::perf
