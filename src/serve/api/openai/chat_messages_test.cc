// Bodies and messages: what is refused, and what the template gets.
#include <gtest/gtest.h>

#include "base/strings.h"
#include "serve/api/openai/chat_fixture.h"
#include "serve/api/openai/chat_json.h"

namespace sis::api {
namespace {

Result<ChatCall> parse(const std::string& body) {
  return parse_chat_call(testing::Body(body).view(), /*strict_fields=*/false,
                         testing::small_models());
}

std::string prompt_of(const std::string& messages, const std::string& more = "") {
  const auto chat = parse(concat(R"({"model":"m","messages":[)", messages, "]", more, "}"));
  if (!chat.ok()) return "refused: " + chat.error().message;
  auto prompt =
      text::apply_chat_template(*testing::small_model().view.templates, *chat->fields.call.chat);
  return prompt.ok() ? *prompt : "error: " + prompt.error().message;
}

struct Refused {
  std::string body;
  const char* param;
  const char* message;  // a part of it
  Code code = Code::kInvalidArgument;
};

void expect_refused(const Refused& c) {
  const auto parsed = parse(c.body);
  ASSERT_FALSE(parsed.ok()) << c.body;
  EXPECT_EQ(parsed.error().code, c.code) << c.body;
  EXPECT_EQ(parsed.error().param, c.param) << c.body << ": " << parsed.error().message;
  EXPECT_NE(parsed.error().message.find(c.message), std::string::npos)
      << c.body << ": " << parsed.error().message;
}

// The order is the API's: the body, the model, the fields, the messages.
TEST(ChatMessages, RefusesBodiesAndMessages) {
  const auto message = [](const char* json) {
    return concat(R"({"model":"m","messages":[{"role":"user","content":"hi"},)", json, "]}");
  };
  const Refused cases[] = {
      {"{", "", "not valid JSON"},
      {"[]", "", "must be a JSON object"},
      {R"({"messages":[]})", "model", "non-empty string"},
      {R"({"model":"no","n":0})", "model", "no model no", Code::kNotFound},
      {R"({"model":"embed"})", "model", "does not generate text"},
      {R"({"model":"m","messages":[],"n":0})", "n", "from 1"},
      {R"({"model":"m"})", "messages", "missing"},
      {R"({"model":"m","messages":null})", "messages", "missing"},
      {R"({"model":"m","messages":[]})", "messages", "empty"},
      {R"({"model":"m","messages":"hi"})", "messages", "an array"},
      {message("7"), "messages[1]", "an object"},
      {message("{}"), "messages[1].role", "non-empty string"},
      {message(R"({"role":"wizard","content":"x"})"), "messages[1].role", "got 'wizard'"},
      {message(R"({"role":"user"})"), "messages[1].content", "missing"},
      {message(R"({"role":"user","content":7})"), "messages[1].content", "array of parts"},
      {message(R"({"role":"user","content":["x"]})"), "messages[1].content[0]", "an object"},
      {message(R"({"role":"user","content":[{"type":"text"}]})"), "messages[1].content[0].text",
       "a string"},
      {message(R"({"role":"user","content":[{"type":"hologram"}]})"), "messages[1].content[0].type",
       "got 'hologram'"},
      {message(R"({"role":"user","content":[{"type":"text","text":"a"},
                   {"type":"image_url","image_url":{"url":"data:"}}]})"),
       "messages[1].content[1].type", "takes text only"},
      {message(R"({"role":"user","content":[{"type":"input_audio"}]})"),
       "messages[1].content[0].type", "takes text only"},
      {message(R"({"role":"user","content":[{"type":"file"}]})"), "messages[1].content[0].type",
       "takes text only"},
      {message(R"({"role":"assistant"})"), "messages[1].content", "content or tool_calls"},
      {message(R"({"role":"assistant","content":null,"tool_calls":[]})"), "messages[1].content",
       "content or tool_calls"},
      {message(R"({"role":"assistant","content":null,"tool_calls":"x"})"), "messages[1].tool_calls",
       "want an array"},
      {message(R"({"role":"assistant","content":"c","tool_calls":{}})"), "messages[1].tool_calls",
       "want an array"},
      {message(R"({"role":"assistant","tool_calls":[{"type":"function","function":{"name":"f"}},
                   {"type":"custom","custom":{"name":"f","input":"x"}}]})"),
       "messages[1].tool_calls[1].type", "'custom' is not supported"},
      {message(R"({"role":"assistant","tool_calls":[{"type":"bogus","function":{"name":"f"}}]})"),
       "messages[1].tool_calls[0].type", "'bogus' is not supported"},
      {message(R"({"role":"assistant","tool_calls":[{"type":7,"function":{"name":"f"}}]})"),
       "messages[1].tool_calls[0].type", "a string"},
      {message(R"({"role":"assistant","tool_calls":[{"id":"a"}]})"),
       "messages[1].tool_calls[0].function", "an object"},
      {message(R"({"role":"assistant","tool_calls":[{"function":{"arguments":"{}"}}]})"),
       "messages[1].tool_calls[0].function.name", "non-empty"},
      {message(R"({"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":7}}]})"),
       "messages[1].tool_calls[0].function.arguments", "a string of JSON"},
      {message(R"({"role":"assistant","content":"x","audio":{"id":"a"}})"), "messages[1].audio",
       "text only"},
      {message(R"({"role":"tool","content":"x"})"), "messages[1].tool_call_id", "non-empty"},
      {message(R"({"role":"function","content":"x"})"), "messages[1].name", "non-empty"},
      {message(R"({"role":"user","content":"x","name":7})"), "messages[1].name", "a string"},
  };
  for (const auto& c : cases) expect_refused(c);
}

// Deep nesting is refused, not recursed into.
TEST(ChatMessages, BoundsDepth) {
  std::string deep;
  for (int i = 0; i < 900; ++i) deep += '[';
  for (int i = 0; i < 900; ++i) deep += ']';
  expect_refused(
      {concat(R"({"model":"m","messages":[{"role":"user","content":"x","k":)", deep, "}]}"), "",
       "the body"});
}

// Messages as the template gets them.
TEST(ChatMessages, ConversationForTheTemplate) {
  EXPECT_EQ(prompt_of(R"({"role":"system","content":"s"},{"role":"user","content":"u"})"),
            "<system>s<user>u<assistant>");
  EXPECT_EQ(prompt_of(R"({"role":"developer","content":"d"})"), "<system>d<assistant>");
  EXPECT_EQ(prompt_of(R"({"role":"user","content":[{"type":"text","text":"a"},
                          {"type":"text","text":"b"}]})"),
            "<user>a\nb<assistant>");
  EXPECT_EQ(prompt_of(R"({"role":"user","content":[]})"), "<user><assistant>");
  EXPECT_EQ(
      prompt_of(R"({"role":"assistant","content":"c","refusal":null,"tool_calls":[
          {"id":"1","type":"function","function":{"name":"f","arguments":"{\"b\":1,\"a\":[]}"}}]})"),
      R"(<assistant>c[{"id": "1", "type": "function", "function": {"name": "f", "arguments": {"b": 1, "a": []}}}]<assistant>)");
  // What is no JSON object stays text; nothing at all is an empty object.
  EXPECT_EQ(
      prompt_of(R"({"role":"assistant","content":"","tool_calls":[
                {"function":{"name":"f","arguments":"not json"}},
                {"function":{"name":"g","arguments":""}}]})"),
      R"(<assistant>[{"function": {"name": "f", "arguments": "not json"}, "type": "function"}, )"
      R"({"function": {"name": "g", "arguments": {}}, "type": "function"}]<assistant>)");
  EXPECT_EQ(prompt_of(R"({"role":"assistant","content":"","function_call":
                {"name":"f","arguments":"{}"}},{"role":"function","name":"f","content":"r"})"),
            R"(<assistant>[{"type": "function", "function": {"name": "f", "arguments": {}}}])"
            "<tool>r<assistant>");
  EXPECT_EQ(
      prompt_of(R"({"role":"tool","tool_call_id":"1","content":[{"type":"text","text":"r"}]})"),
      "<tool>r<assistant>");
  EXPECT_EQ(prompt_of(R"({"role":"assistant","content":[{"type":"refusal","refusal":"no"}]})"),
            "<assistant>no<assistant>");
  EXPECT_EQ(prompt_of(R"({"role":"assistant","content":null,"refusal":"no"})"),
            "<assistant>no<assistant>");
}

TEST(ChatMessages, TemplateSwitches) {
  const std::string user = R"({"role":"user","content":"u"})";
  EXPECT_EQ(prompt_of(user, R"(,"add_generation_prompt":false)"), "<user>u");
  EXPECT_EQ(prompt_of(user + R"(,{"role":"assistant","content":"so far"})",
                      R"(,"continue_final_message":true)"),
            "<user>u<assistant>so far");
  EXPECT_EQ(prompt_of(user, R"(,"reasoning_effort":"none")"), "<user>u[thinking False]<assistant>");
  EXPECT_EQ(prompt_of(user, R"(,"reasoning_effort":"high")"), "<user>u[effort high]<assistant>");
  // What the client says itself wins.
  EXPECT_EQ(prompt_of(user, R"(,"reasoning_effort":"none","chat_template_kwargs":)"
                            R"({"enable_thinking":true})"),
            "<user>u[thinking True]<assistant>");
  EXPECT_EQ(prompt_of(user, R"(,"functions":[{"name":"f"}])"),
            R"(<user>u[tools [{"type": "function", "function": {"name": "f"}}]]<assistant>)");
}

// The model is told what shape is wanted: after the leading system messages, in one of its own, or
// with the first question where the template takes none. guided_* fields leave the prompt alone.
TEST(ChatMessages, TellsTheModelOfTheFormat) {
  const std::string user = R"({"role":"user","content":"u"})";
  const std::string object = R"(,"response_format":{"type":"json_object"})";
  const std::string told = "Answer with one JSON object and nothing else.";
  EXPECT_EQ(prompt_of(user, object), "<system>" + told + "<user>u<assistant>");
  EXPECT_EQ(prompt_of(R"({"role":"system","content":"s"},)" + user, object),
            "<system>s\n\n" + told + "<user>u<assistant>");
  EXPECT_EQ(prompt_of(user, R"(,"guided_json":{})"), "<user>u<assistant>");
  EXPECT_NE(prompt_of(user, R"(,"response_format":{"type":"json_schema","json_schema":)"
                            R"({"name":"n","strict":true,"schema":{"type":"integer"}}})")
                .find("It must follow this JSON schema:\n{\"type\":\"integer\"}<user>"),
            std::string::npos);

  const testing::SmallModel model(
      "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}"
      "{% endif %}<{{ m.role }}>{{ m.content }}{% endfor %}");
  const testing::Body body(concat(R"({"model":"m","messages":[)", user, "]", object, "}"));
  const auto parsed = parse_chat_call(body.view(), false, [&](const std::string& name) {
    return Result<FoundModel>(
        FoundModel{.facts = {.name = name, .vocab_size = 10}, .text = &model.view});
  });
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(*text::apply_chat_template(*model.templates, *parsed->fields.call.chat),
            "<user>u\n\n" + told);
}

// A template that knows the developer's role keeps it.
TEST(ChatMessages, DeveloperWhereTheTemplateKnowsIt) {
  const testing::SmallModel model(
      "{% for m in messages %}{% if m.role == 'developer' %}D{% else %}O{% endif %}{% endfor %}");
  const testing::Body body(R"({"model":"m","messages":[{"role":"developer","content":"x"}]})");
  const auto parsed = parse_chat_call(body.view(), false, [&](const std::string& name) {
    return Result<FoundModel>(
        FoundModel{.facts = {.name = name, .vocab_size = 10}, .text = &model.view});
  });
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(*text::apply_chat_template(*model.templates, *parsed->fields.call.chat), "D");
}

}  // namespace
}  // namespace sis::api
