#include "serve/api/openai/chat_json.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/strings.h"
#include "serve/api/openai/chat_fixture.h"

namespace sis::api {
namespace {

using tasks::GenerateCall;
using tasks::ToolChoice;
using Kind = tasks::ResponseFormat::Kind;

struct Rules {
  bool strict = false, structured_outputs = true;
};

Result<ChatCall> parse(const std::string& body, Rules rules = {}) {
  return parse_chat_call(testing::Body(body).view(), rules.strict,
                         testing::small_models(rules.structured_outputs));
}

// A body with one user message and these members.
std::string with(std::string_view members) {
  return concat(R"({"model":"m","messages":[{"role":"user","content":"hi"}])",
                members.empty() ? "" : ",", members, "}");
}

GenerateCall call_of(const std::string& body) {
  auto parsed = parse(body);
  EXPECT_TRUE(parsed.ok()) << body << ": " << (parsed.ok() ? "" : parsed.error().message);
  return parsed.ok() ? std::move(parsed->fields.call) : GenerateCall{};
}

struct Refused {
  std::string body;
  const char* param;
  const char* message;  // a part of it
  Code code = Code::kInvalidArgument;
};

void expect_refused(const Refused& c, Rules rules = {}) {
  const auto parsed = parse(c.body, rules);
  ASSERT_FALSE(parsed.ok()) << c.body;
  EXPECT_EQ(parsed.error().code, c.code) << c.body;
  EXPECT_EQ(parsed.error().param, c.param) << c.body << ": " << parsed.error().message;
  EXPECT_NE(parsed.error().message.find(c.message), std::string::npos)
      << c.body << ": " << parsed.error().message;
}

// Every field with a value it does not take is refused by its name.
TEST(ChatJson, RefusesWithFieldAndReason) {
  const std::pair<const char*, Refused> fields[] = {
      {R"("temperature":2.1)", {"", "temperature", "from 0 to 2, got 2.1"}},
      {R"("temperature":-0.1)", {"", "temperature", "from 0 to 2"}},
      {R"("temperature":"hot")", {"", "temperature", "got 'hot'"}},
      {R"("temperature":[1])", {"", "temperature", "got an array"}},
      {R"("top_p":1.01)", {"", "top_p", "from 0 to 1"}},
      {R"("min_p":-1)", {"", "min_p", "from 0 to 1"}},
      {R"("top_k":-2)", {"", "top_k", "from -1"}},
      {R"("top_k":1.5)", {"", "top_k", "whole number"}},
      {R"("frequency_penalty":-3)", {"", "frequency_penalty", "from -2 to 2"}},
      {R"("presence_penalty":3)", {"", "presence_penalty", "from -2 to 2"}},
      {R"("repetition_penalty":0)", {"", "repetition_penalty", "from 0.01"}},
      {R"("seed":1.5)", {"", "seed", "whole number"}},
      {R"("seed":18446744073709551615)", {"", "seed", "64 bits"}},
      {R"("n":0)", {"", "n", "from 1 to 128"}},
      {R"("n":129)", {"", "n", "from 1 to 128"}},
      {R"("max_tokens":-1)", {"", "max_tokens", "from 0"}},
      {R"("max_tokens":4294967296)", {"", "max_tokens", "got 4294967296"}},
      {R"("max_completion_tokens":0)", {"", "max_completion_tokens", "from 1"}},
      {R"("min_tokens":-1)", {"", "min_tokens", "from 0"}},
      {R"("min_tokens":9,"max_tokens":8)", {"", "min_tokens", "at most the 8"}},
      {R"("stop":7)", {"", "stop", "a string or an array"}},
      {R"("stop":["a","b","c","d","e"])", {"", "stop", "at most 4"}},
      {R"("stop":["a",null])", {"", "stop[1]", "a string"}},
      {R"("stop_token_ids":5)", {"", "stop_token_ids", "an array"}},
      {R"("stop_token_ids":[1,-1])", {"", "stop_token_ids[1]", "from 0"}},
      {R"("stop_token_ids":[901])", {"", "stop_token_ids[0]", "tokens 0 to 900"}},
      {R"("ignore_eos":"perhaps")", {"", "ignore_eos", "true or false"}},
      {R"("logit_bias":[1])", {"", "logit_bias", "an object"}},
      {R"("logit_bias":{"x":1})", {"", "logit_bias", "token ids as keys"}},
      {R"("logit_bias":{"901":1})", {"", "logit_bias", "tokens 0 to 900, got 901"}},
      {R"("logit_bias":{"5":101})", {"", "logit_bias.'5'", "from -100 to 100"}},
      {R"("logprobs":3)", {"", "logprobs", "true or false"}},
      {R"("top_logprobs":3)", {"", "top_logprobs", "wants logprobs"}},
      {R"("logprobs":true,"top_logprobs":21)", {"", "top_logprobs", "from 0 to 20"}},
      {R"("logprobs":true,"top_logprobs":20,"n":25)", {"", "top_logprobs", "at most 512"}},
      {R"("stream":"maybe")", {"", "stream", "true or false"}},
      {R"("stream_options":{})", {"", "stream_options", "wants stream"}},
      {R"("stream":true,"stream_options":1)", {"", "stream_options", "an object"}},
      {R"("stream":true,"stream_options":{"include_usage":3})",
       {"", "stream_options.include_usage", "true or false"}},
      {R"("response_format":"json")", {"", "response_format", "an object"}},
      {R"("response_format":{})", {"", "response_format.type", "missing"}},
      {R"("response_format":{"type":"xml"})", {"", "response_format.type", "got 'xml'"}},
      {R"("response_format":{"type":"json_schema"})",
       {"", "response_format.json_schema", "missing"}},
      {R"("response_format":{"type":"json_object","json_schema":{}})",
       {"", "response_format.json_schema", "wants the type"}},
      {R"("response_format":{"type":"json_schema","json_schema":{"name":"a b","schema":{}}})",
       {"", "response_format.json_schema.name", "letters"}},
      {R"("response_format":{"type":"json_schema","json_schema":{"name":"a"}})",
       {"", "response_format.json_schema.schema", "missing"}},
      {R"("response_format":{"type":"json_schema","json_schema":{"schema":{},"strict":2}})",
       {"", "response_format.json_schema.strict", "true or false"}},
      {R"("guided_json":4)", {"", "guided_json", "a JSON schema"}},
      {R"("guided_regex":4)", {"", "guided_regex", "a string"}},
      {R"("grammar":{})", {"", "grammar", "a string"}},
      {R"("guided_regex":"a","grammar":"b")", {"", "grammar", "guided_regex already"}},
      {R"("guided_choice":["a"])", {"", "guided_choice", "not supported"}},
      {R"("tools":{})", {"", "tools", "an array"}},
      {R"("tools":[1])", {"", "tools[0]", "an object"}},
      {R"("tools":[{"type":"custom","custom":{"name":"x"}}])", {"", "tools[0].type", "'custom'"}},
      {R"("tools":[{"type":"function"}])", {"", "tools[0].function", "missing"}},
      {R"("tools":[{"type":"function","function":{"name":"a.b"}}])",
       {"", "tools[0].function.name", "letters"}},
      {R"("tools":[{"type":"function","function":{"name":"a","parameters":[]}}])",
       {"", "tools[0].function.parameters", "an object"}},
      {R"("tools":[{"type":"function","function":{"name":"a","parameters":{"type":"array"}}}])",
       {"", "tools[0].function.parameters.type",
        "want 'object', as arguments are one, got 'array'"}},
      {R"("tools":[{"type":"function","function":{"name":"a","parameters":{"type":["null"]}}}])",
       {"", "tools[0].function.parameters.type", "want 'object'"}},
      {R"("functions":[{"name":"f"},{"name":"a","parameters":{"type":7}}])",
       {"", "functions[1].parameters.type", "want 'object'"}},
      {R"("tools":[{"type":"function","function":{"name":"a"}},)"
       R"({"type":"function","function":{"name":"a"}}])",
       {"", "tools[1].function.name", "twice"}},
      {R"("functions":[{"name":""}])", {"", "functions[0].name", "letters"}},
      {R"("tool_choice":"required")", {"", "tool_choice", "no tools"}},
      {R"("tool_choice":"never")", {"", "tool_choice", "got 'never'"}},
      {R"("tool_choice":7)", {"", "tool_choice", "or an object"}},
      {R"("tool_choice":{"type":"function","function":{"name":"f"}})",
       {"", "tool_choice.function.name", "not among the tools"}},
      {R"("functions":[{"name":"f"}],"function_call":{"name":"g"})",
       {"", "function_call.name", "not among the tools"}},
      {R"("functions":[{"name":"f"}],"function_call":"required")", {"", "function_call", "none"}},
      {R"("tools":[{"type":"function","function":{"name":"f"}}],)"
       R"("tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"none","tools":[]}})",
       {"", "tool_choice.allowed_tools.mode", "auto or required"}},
      {R"("tools":[{"type":"function","function":{"name":"f"}}],)"
       R"("tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[]}})",
       {"", "tool_choice.allowed_tools.tools", "empty"}},
      {R"("parallel_tool_calls":2)", {"", "parallel_tool_calls", "true or false"}},
      {R"("reasoning_effort":"huge")", {"", "reasoning_effort", "minimal"}},
      {R"("verbosity":"loud")", {"", "verbosity", "low, medium, high"}},
      {R"("modalities":["text","audio"])", {"", "modalities", "got 'audio'"}},
      {R"("audio":{"voice":"x"})", {"", "audio", "text only"}},
      {R"("service_tier":"gold")", {"", "service_tier", "flex"}},
      {R"("metadata":7)", {"", "metadata", "an object"}},
      {R"("cache_salt":7)", {"", "cache_salt", "a string"}},
      {R"("chat_template":"x")", {"", "chat_template", "checkpoint"}},
      {R"("chat_template_kwargs":7)", {"", "chat_template_kwargs", "an object"}},
      {R"("chat_template_kwargs":{"tools":[]})", {"", "chat_template_kwargs", "tools is a field"}},
      {R"("continue_final_message":true,"add_generation_prompt":true)",
       {"", "continue_final_message", "exclude"}},
  };
  for (const auto& [members, refused] : fields) {
    Refused c = refused;
    c.body = with(members);
    expect_refused(c);
  }
}

TEST(ChatJson, ReadsSamplingAndLimits) {
  const auto call = call_of(
      with(R"("temperature":0,"top_p":0.5,"top_k":-1,"min_p":0.1,"frequency_penalty":-2,)"
           R"("presence_penalty":2,"repetition_penalty":1.1,"seed":-5,"n":3,"max_tokens":7,)"
           R"("max_completion_tokens":9,"min_tokens":2,"stop":["a","","b"],"stop_token_ids":[1,2],)"
           R"("ignore_eos":true,"logit_bias":{"5":-100,"6":1.5},"logprobs":true,"top_logprobs":4,)"
           R"("cache_salt":"s","parallel_tool_calls":false,"skip_special_tokens":false)"));
  EXPECT_EQ(call.temperature, 0.0f);
  EXPECT_EQ(call.top_p, 0.5f);
  EXPECT_EQ(call.top_k, 0);
  EXPECT_EQ(call.min_p, 0.1f);
  EXPECT_EQ(call.frequency_penalty, -2.0f);
  EXPECT_EQ(call.presence_penalty, 2.0f);
  EXPECT_EQ(call.repetition_penalty, 1.1f);
  EXPECT_EQ(call.seed, static_cast<uint64_t>(-5));
  EXPECT_EQ(call.choices, 3);
  EXPECT_EQ(call.tokens_max, 9);  // max_completion_tokens wins
  EXPECT_EQ(call.tokens_min, 2);
  EXPECT_EQ(call.stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(call.stop_ids, (std::vector<int32_t>{1, 2}));
  EXPECT_TRUE(call.ignore_eos);
  EXPECT_EQ(call.logit_bias, (std::vector<std::pair<int32_t, float>>{{5, -100.0f}, {6, 1.5f}}));
  EXPECT_EQ(call.logprobs, 4);
  EXPECT_EQ(call.cache_salt, "s");
  EXPECT_FALSE(call.parallel_tool_calls);
  EXPECT_FALSE(call.skip_special_tokens);
}

// Absent, null and zero limits leave the choice to the model; numbers may come as strings.
TEST(ChatJson, NullIsAbsent) {
  const auto call = call_of(with(
      R"("temperature":null,"top_p":null,"n":null,"stop":null,"seed":null,"max_tokens":null,)"
      R"("logit_bias":null,"tools":null,"tool_choice":null,"response_format":null,"stream":null,)"
      R"("stream_options":null,"logprobs":null,"top_logprobs":null,"modalities":null,)"
      R"("audio":null,"metadata":null,"functions":null,"reasoning_effort":null)"));
  EXPECT_FALSE(call.temperature || call.top_p || call.tokens_max || call.seed);
  EXPECT_EQ(call.choices, 1);
  EXPECT_EQ(call.logprobs, -1);
  EXPECT_FALSE(call_of(with(R"("max_tokens":0)")).tokens_max);
  EXPECT_EQ(call_of(with(R"("max_tokens":"12","temperature":"0.5")")).tokens_max, 12);
  EXPECT_EQ(call_of(with(R"("logprobs":true)")).logprobs, 0);
  EXPECT_EQ(call_of(with(R"("top_p":0)")).top_p, std::numeric_limits<float>::min());
  EXPECT_EQ(call_of(with(R"("stop":"x")")).stop, std::vector<std::string>{"x"});
}

// Fields without effect are taken; unknown ones are refused in strict mode only.
TEST(ChatJson, UnknownFields) {
  const auto accepted = with(
      R"("user":"u","store":true,"metadata":{"a":"b"},"service_tier":"flex","verbosity":"low",)"
      R"("safety_identifier":"x","prompt_cache_key":"k","prediction":{"type":"content"},)"
      R"("web_search_options":{},"modalities":["text"],"priority":3,"guided_choice":[],)"
      R"("use_beam_search":false)");
  EXPECT_TRUE(parse(accepted, {.strict = true}).ok());
  EXPECT_TRUE(parse(with(R"("frobnicate":1)")).ok());
  expect_refused({with(R"("frobnicate":1)"), "frobnicate", "unknown field"}, {.strict = true});
}

TEST(ChatJson, ReadsStreamOptions) {
  const auto parsed = parse(with(R"("stream":true,"stream_options":{"include_usage":true})"));
  ASSERT_TRUE(parsed.ok());
  EXPECT_TRUE(parsed->fields.stream);
  EXPECT_TRUE(parsed->fields.include_usage);
  EXPECT_FALSE(parse(with(R"("stream":true)"))->fields.include_usage);
}

TEST(ChatJson, ReadsResponseFormats) {
  const auto format = [](const char* members) { return call_of(with(members)).format; };
  EXPECT_EQ(format(R"("response_format":{"type":"text"})").kind, Kind::kText);
  EXPECT_EQ(format(R"("response_format":{"type":"json_object"})").kind, Kind::kJsonObject);
  const auto schema =
      format(R"("response_format":{"type":"json_schema","json_schema":{"name":"n","strict":true,)"
             R"("schema":{"type":"object","properties":{"b":{},"a":{}}}}})");
  EXPECT_EQ(schema.kind, Kind::kJsonSchema);
  EXPECT_TRUE(schema.strict);
  EXPECT_EQ(schema.source, R"({"type":"object","properties":{"b":{},"a":{}}})");
  const auto llama = format(R"("response_format":{"type":"json_object","schema":{"x":1}})");
  EXPECT_EQ(llama.kind, Kind::kJsonSchema);
  EXPECT_EQ(llama.source, R"({"x":1})");
  // What is wrong inside is named with the place it came from.
  EXPECT_EQ(schema.field, "response_format.json_schema.schema");
  EXPECT_EQ(llama.field, "response_format.schema");
  EXPECT_EQ(format(R"("guided_regex":"a+")").field, "guided_regex");
  EXPECT_EQ(format(R"("guided_json":{"x":1})").source, R"({"x":1})");
  EXPECT_EQ(format(R"("guided_json":"{\"x\":1}")").source, R"({"x":1})");
  EXPECT_EQ(format(R"("guided_regex":"a+")").kind, Kind::kRegex);
  EXPECT_EQ(format(R"("grammar":"root ::= \"a\"")").kind, Kind::kEbnf);
  // A model whose entry does not allow it refuses all of them, but not plain text.
  for (const char* members :
       {R"("response_format":{"type":"json_object"})", R"("guided_regex":"a")"}) {
    const auto refused = parse(with(members), {.structured_outputs = false});
    ASSERT_FALSE(refused.ok());
    EXPECT_NE(refused.error().message.find("does not support response_format"), std::string::npos);
  }
  EXPECT_TRUE(
      parse(with(R"("response_format":{"type":"text"})"), {.structured_outputs = false}).ok());
}

TEST(ChatJson, ReadsTools) {
  const std::string tools =
      R"("tools":[{"type":"function","function":{"name":"f","strict":true,"parameters":{"type":"object"}}},)"
      R"({"type":"function","function":{"name":"g"}}])";
  const auto names = [](const GenerateCall& call) {
    std::string all;
    for (const auto& tool : call.tools) all += tool.name;
    return all;
  };
  auto call = call_of(with(tools));
  EXPECT_EQ(names(call), "fg");
  EXPECT_EQ(call.tool_choice, ToolChoice::kAuto);
  EXPECT_TRUE(call.parallel_tool_calls);
  EXPECT_EQ(call.tools[0].parameters, R"({"type":"object"})");
  EXPECT_TRUE(call.tools[0].strict);
  EXPECT_EQ(call.tools[1].parameters, "");

  call = call_of(with(tools + R"(,"tool_choice":"required")"));
  EXPECT_EQ(names(call), "fg");
  EXPECT_EQ(call.tool_choice, ToolChoice::kRequired);

  call = call_of(with(tools + R"(,"tool_choice":{"type":"function","function":{"name":"g"}})"));
  EXPECT_EQ(names(call), "g");
  EXPECT_EQ(call.tool_choice, ToolChoice::kRequired);
  EXPECT_FALSE(call.parallel_tool_calls);
  EXPECT_EQ(call.chat->tools.items().size(), 2u);  // the template still sees both

  const auto allowed = [&](const char* mode, const char* name) {
    return call_of(with(
        concat(tools, R"(,"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":")", mode,
               R"(","tools":[{"type":"function","function":{"name":")", name, R"("}}]}})")));
  };
  call = allowed("required", "f");
  EXPECT_EQ(names(call), "f");
  EXPECT_EQ(call.tool_choice, ToolChoice::kRequired);
  call = allowed("auto", "g");
  EXPECT_EQ(names(call), "g");
  EXPECT_EQ(call.tool_choice, ToolChoice::kAuto);
  EXPECT_TRUE(call.parallel_tool_calls);
  // The template sees no others.
  const auto prompt = text::apply_chat_template(*testing::small_model().view.templates, *call.chat);
  ASSERT_TRUE(prompt.ok());
  EXPECT_EQ(*prompt, R"(<user>hi[tools [{"type": "function", "function": {"name": "g"}}]])"
                     "<assistant>");

  call = call_of(with(tools + R"(,"tool_choice":"none")"));
  EXPECT_TRUE(call.tools.empty());
  EXPECT_EQ(call.tool_choice, ToolChoice::kNone);
  EXPECT_TRUE(call.chat->tools.is(text::tmpl::Kind::kNone));

  call = call_of(with(R"("functions":[{"name":"h"}],"function_call":{"name":"h"})"));
  EXPECT_EQ(names(call), "h");
  EXPECT_EQ(call.tool_choice, ToolChoice::kRequired);
  EXPECT_EQ(call_of(with(R"("functions":[{"name":"h","parameters":{"type":["object","null"]}},)"
                         R"({"name":"i","parameters":{"type":null,"properties":{}}}])"))
                .tools.size(),
            2u);
  EXPECT_EQ(call_of(with(R"("tools":[])")).tool_choice, ToolChoice::kNone);
  EXPECT_EQ(call_of(with(R"("tool_choice":"none")")).tool_choice, ToolChoice::kNone);
}

}  // namespace
}  // namespace sis::api
