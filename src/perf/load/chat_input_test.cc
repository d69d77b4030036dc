// Chat files of every shape become requests; a wrong one is named by line or JSON path.
#include "perf/load/chat_input.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/strings.h"

namespace sis::perf {
namespace {

constexpr const char* kShareGpt = R"([
  {"id": "a", "conversations": [{"from": "system", "value": "Be short."},
    {"from": "human", "value": "one"}, {"from": "gpt", "value": "1"},
    {"from": "human", "value": "two"}, {"from": "gpt", "value": "2"}]},
  {"id": "b", "conversations": [{"from": "gpt", "value": "no question"}]},
  {"id": "c", "conversations": [{"from": "user", "value": "three"}]}])";

std::vector<std::string> shown(const std::string& text, const std::string& name, ChatTurns turns) {
  const auto inputs = parse_chat_input(text, name, turns);
  if (!inputs.ok()) return {inputs.error().message};
  std::vector<std::string> all;
  for (const auto& input : *inputs) {
    std::string one;
    for (const auto& message : input.messages)
      one += message["role"].get<std::string>().substr(0, 1) + ":" +
             (message["content"].is_string() ? message["content"].get<std::string>()
                                             : message["content"].dump()) +
             "|";
    all.push_back(input.messages.is_null() ? input.payload.dump() : one);
  }
  return all;
}
using Texts = std::vector<std::string>;

TEST(ChatInput, EveryQuestionCarriesWhatWasSaidBefore) {
  EXPECT_EQ(shown(kShareGpt, "a.json", ChatTurns::kAll),
            (Texts{"s:Be short.|u:one|", "s:Be short.|u:one|a:1|u:two|", "u:three|"}));
  EXPECT_EQ(shown(kShareGpt, "a.json", ChatTurns::kFirst),
            (Texts{"s:Be short.|u:one|", "u:three|"}));
  EXPECT_EQ(shown(kShareGpt, "a.json", ChatTurns::kLast),
            (Texts{"s:Be short.|u:one|a:1|u:two|", "u:three|"}));
}

TEST(ChatInput, ReadsLinesOfMessages) {
  EXPECT_EQ(shown("{\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"text\"}]}]}\n\n"
                  "{\"conversations\": [{\"from\": \"human\", \"value\": \"x\"}]}\n",
                  "a.jsonl", ChatTurns::kAll),
            (Texts{R"(u:[{"type":"text"}]|)", "u:x|"}));
}

TEST(ChatInput, PayloadsStayAsTheyAre) {
  EXPECT_EQ(shown(R"({"data": [{"payload": [{"stream": true, "model": "m", "z": 1}]},
                               [{"payload": [{"a": 1}, {"b": 2}]}]]})",
                  "a.json", ChatTurns::kAll),
            (Texts{R"({"stream":true,"model":"m","z":1})", R"({"a":1})", R"({"b":2})"}));
}

// 8 MB of turns whose questions would repeat 4 GB: told before they are made.
TEST(ChatInput, QuestionsThatRepeatTooMuchAreRefused) {
  std::string turns;
  for (int i = 0; i < 1000; ++i)
    turns +=
        concat(i > 0 ? "," : "", R"({"role":"user","content":")", std::string(8000, 'a'), R"("})");
  const std::string text = concat(R"([{"messages":[)", turns, "]}]");
  const auto all = parse_chat_input(text, "chats.json", ChatTurns::kAll);
  ASSERT_FALSE(all.ok());
  EXPECT_EQ(all.error().code, Code::kTooLarge);
  EXPECT_NE(all.error().message.find("MiB of messages"), std::string::npos) << all.error().message;
  EXPECT_TRUE(parse_chat_input(text, "chats.json", ChatTurns::kLast).ok());
}

TEST(ChatInput, FaultsNameThePlace) {
  const auto error = [](const std::string& text, const std::string& name) {
    return shown(text, name, ChatTurns::kAll).front();
  };
  EXPECT_EQ(error("[{}]", "a.json"),
            "a.json: [0]: want an object with 'conversations', 'messages' or 'payload', found an "
            "object of 0 members");
  EXPECT_EQ(error(R"([{"conversations": [{"from": "human"}]}])", "a.json"),
            "a.json: [0].conversations[0].value: want a string, found null");
  EXPECT_EQ(error(R"({"data": [{"payload": [5]}]})", "a.json"),
            "a.json: data[0].payload[0]: want a request body, found 5");
  EXPECT_EQ(error(R"({"data": [{"payload": [{"stream": "yes"}]}]})", "a.json"),
            "a.json: data[0].payload[0].stream: want true or false, found the string 'yes'");
  EXPECT_EQ(error("{\"messages\": []}\n{\"messages\": 7}\n", "a.jsonl"),
            "a.jsonl: line 2.messages: want a list of turns, found 7");
  const std::string cut = error("{\"messages\": []}\n{\"messa\n", "a.jsonl");
  EXPECT_NE(cut.find("a.jsonl: line 2: want JSON"), std::string::npos) << cut;
  EXPECT_EQ(error("[]", "a.json"), "a.json: want chats with a question, found none");
  EXPECT_EQ(error("\xff", "a.json"), "a.json: want UTF-8");
}

TEST(ChatInput, ImagesBecomeDataUrls) {
  const std::string folder = testing::TempDir() + "chat_input_test_images";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directory(folder);
  std::ofstream(folder + "/note.txt") << "no image";
  EXPECT_FALSE(read_image_chats(folder, "What is this?").ok());
  std::ofstream(folder + "/b.PNG") << "foobar";
  std::ofstream(folder + "/a.jpeg") << "f";
  const auto chats = read_image_chats(folder, "What is this?");
  ASSERT_TRUE(chats.ok()) << chats.error().message;
  ASSERT_EQ(chats->size(), 2u);
  const auto& parts = (*chats)[0].messages[0]["content"];
  EXPECT_EQ(parts[0]["text"], "What is this?");
  EXPECT_EQ(parts[1]["image_url"]["url"], "data:image/jpeg;base64,Zg==");
  EXPECT_EQ((*chats)[1].messages[0]["content"][1]["image_url"]["url"],
            "data:image/png;base64,Zm9vYmFy");
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace sis::perf
