#include "serve/tasks/generate.h"

#include <gtest/gtest.h>

#include "infer/text/grammar/compile.h"
#include "serve/tasks/generate_fixture.h"
#include "serve/tasks/tokenizer_probe.h"

namespace sis::tasks {
namespace {

using engine::Finish;

TEST_F(GenerateTest, AnswersAConversation) {
  const auto ticket = submit(chat());
  EXPECT_EQ(service_->requests_open(), 1);
  const auto job = generator_.next();
  ASSERT_NE(job, nullptr);
  EXPECT_EQ(tokenizer_->decode(job->request.prompt, false).find("<|im_start|>"), 0u);
  EXPECT_EQ(job->request.eos_ids, std::vector<int32_t>{eos_});
  EXPECT_EQ(job->request.grammar, nullptr);
  auto answer = ids("Hello, \u4e16\u754c!");
  answer.push_back(eos_);
  clock_.advance(from_ms(5));
  job->admit();
  for (const int32_t id : answer) {
    clock_.advance(from_ms(1));
    EXPECT_TRUE(job->say(id));
  }
  job->finish(Finish::kEos);
  job->end();

  const auto& usage = heard_->wait();
  ASSERT_TRUE(usage.ok()) << usage.error().message;
  EXPECT_EQ(heard_->texts, std::vector<std::string>{"Hello, \u4e16\u754c!"});
  EXPECT_EQ(heard_->events, (std::vector<std::string>{"start +", "finish 0 0"}));
  EXPECT_EQ(usage->completion_tokens, static_cast<int32_t>(answer.size()));
  EXPECT_EQ(usage->prompt_tokens, static_cast<int32_t>(job->request.prompt.size()));
  EXPECT_EQ(usage->cached_tokens, 2);
  EXPECT_EQ(to_ms(usage->decode), static_cast<double>(answer.size() - 1));
  EXPECT_EQ(to_ms(usage->queue), 1);
  EXPECT_EQ(service_->requests_open(), 0);
  expect_no_tickets();
}

TEST_F(GenerateTest, TextAndIdsArePrompts) {
  auto ticket = submit(prompt("Once upon"));
  auto job = generator_.next();
  EXPECT_EQ(job->request.prompt, tokenizer_->encode("Once upon", {}).ids);
  job->answer(ids(" a time"), Finish::kLength);
  ASSERT_TRUE(heard_->wait().ok());
  EXPECT_EQ(heard_->texts[0], " a time");
  EXPECT_EQ(heard_->events.back(), "finish 0 1");

  GenerateCall call;
  call.prompt_is_ids = true;
  call.ids = {5, 6, 7};
  ticket = submit(call);
  job = generator_.next();
  EXPECT_EQ(job->request.prompt, call.ids);
  job->fail({Code::kOverloaded, "waited too long"});
  EXPECT_EQ(heard_->error().code, Code::kOverloaded);
}

TEST_F(GenerateTest, StopsOnAStopString) {
  GenerateCall call = chat();
  call.stop = {"END"};
  const auto ticket = submit(call);
  const auto job = generator_.next();
  const auto answer = ids("one END two and more");
  job->answer(answer, Finish::kLength);
  ASSERT_TRUE(heard_->wait().ok());
  EXPECT_EQ(heard_->texts[0], "one ");
  EXPECT_EQ(heard_->events.back(), "finish 0 0");
  EXPECT_LT(heard_->wait()->completion_tokens, static_cast<int32_t>(answer.size()));
}

TEST_F(GenerateTest, ChoicesAreApart) {
  GenerateCall call = chat();
  call.choices = 2;
  const auto ticket = submit(call);
  const auto job = generator_.next();
  EXPECT_EQ(job->request.choices, 2);
  job->admit();
  const auto one = ids("one"), two = ids("two");
  for (size_t i = 0; i < std::max(one.size(), two.size()); ++i) {
    if (i < one.size()) job->say(one[i], 0);
    if (i < two.size()) job->say(two[i], 1);
  }
  job->finish(Finish::kEos, 1);
  job->finish(Finish::kLength, 0);
  job->end();
  ASSERT_TRUE(heard_->wait().ok());
  EXPECT_EQ(heard_->texts, (std::vector<std::string>{"one", "two"}));
  EXPECT_EQ(heard_->wait()->completion_tokens, static_cast<int32_t>(one.size() + two.size()));
}

TEST_F(GenerateTest, CallsTools) {
  const auto ticket = submit(with_tools(ToolChoice::kAuto));
  const auto job = generator_.next();
  EXPECT_EQ(job->request.grammar, nullptr);
  job->answer(ids("See:\n<tool_call>\n{\"name\": \"g\", \"arguments\": {\"a\": 1}}\n</tool_call>"));
  ASSERT_TRUE(heard_->wait().ok());
  EXPECT_EQ(heard_->texts[0], "See:");
  EXPECT_EQ(heard_->calls, "g{\"a\": 1}");
  EXPECT_EQ(heard_->events.back(), "finish 0 2");
}

// Each choice has its own calls with ids of their own, its own stop strings and its own end.
TEST_F(GenerateTest, ChoicesCallApart) {
  GenerateCall call = with_tools(ToolChoice::kRequired);
  call.choices = 4;
  call.stop = {"Oslo"};
  const auto ticket = submit(call);
  const auto job = generator_.next();
  job->admit();
  const auto whole =
      ids("<tool_call>\n{\"name\": \"g\", \"arguments\": {\"a\": \"Oslo\"}}\n</tool_call>");
  const auto cut = ids("<tool_call>\n{\"name\": \"g\","), begun = ids("<tool");
  for (size_t i = 0; i < whole.size(); ++i) {
    if (i < cut.size()) job->say(cut[i], 1);
    if (i < begun.size()) job->say(begun[i], 3);
    job->say(whole[i], 0);
    job->say(whole[i], 2);
  }
  for (const int32_t choice : {0, 1, 2, 3})
    job->finish(choice % 2 == 1 ? Finish::kLength : Finish::kGrammar, choice);
  job->end();
  ASSERT_TRUE(heard_->wait().ok());
  for (const auto& text : heard_->texts) EXPECT_EQ(text, "");
  EXPECT_EQ(heard_->calls_of,
            (std::map<int32_t, std::string>{{0, "g{\"a\": \"Oslo\"}"}, {2, "g{\"a\": \"Oslo\"}"}}));
  EXPECT_EQ(heard_->call_ids.size(), 2u);
  const std::vector<std::string> ends(heard_->events.end() - 4, heard_->events.end());
  EXPECT_EQ(ends,
            (std::vector<std::string>{"finish 0 2", "finish 1 1", "finish 2 2", "finish 3 1"}));
}

TEST_F(GenerateTest, WithoutToolsMarkupIsText) {
  const auto ticket = submit(with_tools(ToolChoice::kNone));
  generator_.next()->answer(ids("<tool_call>{\"name\": \"g\"}</tool_call>"));
  ASSERT_TRUE(heard_->wait().ok());
  EXPECT_EQ(heard_->texts[0], "<tool_call>{\"name\": \"g\"}</tool_call>");
  EXPECT_EQ(heard_->events.back(), "finish 0 0");
}

// A required call is held to the family's form; the grammar is made once.
TEST_F(GenerateTest, RequiredCallsHaveAGrammar) {
  const auto first = submit(with_tools(ToolChoice::kRequired));
  const auto grammar = generator_.next()->request.grammar;
  ASSERT_NE(grammar, nullptr);
  const auto takes = [&grammar](std::string_view text) {
    const auto matcher = grammar->start();
    return text::accept_text(*matcher, text) && matcher->complete();
  };
  EXPECT_TRUE(takes("<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>"));
  EXPECT_FALSE(takes("words"));
  const auto second = submit(with_tools(ToolChoice::kRequired));
  EXPECT_EQ(generator_.next()->request.grammar, grammar);
}

TEST_F(GenerateTest, BadGrammarsNameTheirField) {
  GenerateCall call = chat();
  call.format = {.kind = ResponseFormat::Kind::kJsonSchema,
                 .source = R"({"properties":{"a":{"$ref":"#/nowhere"}}})"};
  auto ticket = submit(call);
  EXPECT_EQ(heard_->error().code, Code::kInvalidArgument);
  EXPECT_TRUE(heard_->error().param.starts_with("response_format.json_schema.schema.properties.a"))
      << heard_->error().param;
  call.format = {.kind = ResponseFormat::Kind::kRegex, .source = "(", .field = "guided_regex"};
  ticket = submit(call);
  EXPECT_EQ(heard_->error().param, "guided_regex");
  EXPECT_EQ(generator_.submitted(), 0u);
}

// A prompt without room is told so; no grammar is made for it first.
TEST_F(GenerateTest, ThePromptIsJudgedBeforeTheGrammar) {
  GenerateCall call = prompt(std::string(3000, 'x') + " y z");
  call.format = {.kind = ResponseFormat::Kind::kRegex, .source = "("};
  const auto ticket = submit(call);
  EXPECT_EQ(heard_->error().reason, "context_length_exceeded") << heard_->error().message;
}

// What ends with an exception fails its own request; the next one is prepared.
TEST_F(GenerateTest, AnExceptionWhilePreparingIsAnError) {
  service_.reset();
  TokenizerProbe probe(std::move(tokenizer_), "boom");
  service_ = GenerateService::create({"m", &probe, &templates_, 4096}, {eos_}, {}, generator_,
                                     prep_, clock_);
  auto ticket = submit(prompt("boom"));
  EXPECT_EQ(heard_->error().code, Code::kInternal);
  EXPECT_EQ(heard_->error().message, "the request could not be prepared: std::bad_alloc");
  EXPECT_EQ(service_->requests_open(), 0);
  ticket = submit(prompt("fine"));
  EXPECT_NE(generator_.next(), nullptr);
  ticket.reset();
  service_.reset();  // does not wait for the job that failed
}

// An end that the model's head lacks is no reason to refuse grammars.
TEST_F(GenerateTest, EndsOutsideTheHeadAreLeftOut) {
  service_.reset();
  service_ = GenerateService::create({"m", tokenizer_.get(), &templates_, 4096, eos_}, {eos_, 1},
                                     {}, generator_, prep_, clock_);
  ASSERT_TRUE(service_->warm().ok());
  GenerateCall call = prompt("x");
  call.format = {.kind = ResponseFormat::Kind::kRegex, .source = "a"};
  const auto ticket = submit(call);
  const auto job = generator_.next();
  ASSERT_NE(job, nullptr) << heard_->error().message;
  EXPECT_EQ(job->request.eos_ids, std::vector<int32_t>{1});
}

TEST_F(GenerateTest, FormatsHaveAGrammar) {
  GenerateCall call = chat();
  call.format.kind = ResponseFormat::Kind::kJsonObject;
  const auto ticket = submit(call);
  const auto job = generator_.next();
  ASSERT_NE(job->request.grammar, nullptr);
  job->answer(ids("{\"a\": 1}"), Finish::kGrammar);
  ASSERT_TRUE(heard_->wait().ok());
  EXPECT_EQ(heard_->texts[0], "{\"a\": 1}");
  EXPECT_EQ(heard_->events.back(), "finish 0 0");
}

// A template that closes the think block leaves no room for one in a grammar.
TEST_F(GenerateTest, GrammarsThinkOnlyWhereTheTemplateDoes) {
  for (const bool closed : {false, true}) {
    start("qwen2", {}, closed ? "[assistant]<think>\n\n</think>\n\n" : "[assistant]{# <think> #}");
    GenerateCall call = chat();
    call.format = {.kind = ResponseFormat::Kind::kRegex, .source = "yes"};
    const auto ticket = submit(call);
    const auto job = generator_.next();
    ASSERT_NE(job, nullptr);
    const auto matcher = job->request.grammar->start();
    EXPECT_EQ(text::accept_text(*matcher, "<think>a</think>yes"), !closed);
  }
}

constexpr const char* kThinking =
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% if open is defined %}<think>\n{% endif %}"
    "{% endif %}{# </think> #}";

TEST_F(GenerateTest, ThinksFirst) {
  start("qwen2", {}, kThinking);
  auto ticket = submit(chat());
  generator_.next()->answer(ids("<think>\nWell.\n</think>\n\nYes."));
  ASSERT_TRUE(heard_->wait().ok());
  EXPECT_EQ(heard_->reasoning, "Well.");
  EXPECT_EQ(heard_->texts.back(), "Yes.");
  EXPECT_GT(heard_->wait()->reasoning_tokens, 2);

  // The prompt opens the block.
  GenerateCall call = chat();
  call.chat->variables = *text::tmpl::from_json(R"({"open":true})", "variables", 5);
  ticket = submit(call);
  generator_.next()->answer(ids("Well.\n</think>\n\nYes."));
  ASSERT_TRUE(heard_->wait().ok());
  EXPECT_EQ(heard_->reasoning, "Well.");

  // A message that goes on inside it, and one that goes on behind it.
  for (const bool inside : {true, false}) {
    call = chat(
        inside ? R"([{"role":"user","content":"Hi"},{"role":"assistant","content":"<think>We"}])"
               : R"([{"role":"user","content":"<think>"},{"role":"assistant","content":"Y"}])");
    call.chat->add_generation_prompt = false;
    call.chat->continue_final_message = "content";
    ticket = submit(call);
    generator_.next()->answer(ids("a</think>b"));
    ASSERT_TRUE(heard_->wait().ok()) << heard_->wait().error().message;
    EXPECT_EQ(heard_->reasoning, inside ? "a" : "");
    EXPECT_EQ(heard_->texts.back(), inside ? "b" : "a</think>b");
  }

  // The other way round: a text prompt is no conversation.
  ticket = submit(prompt("x"));
  generator_.next()->answer(ids("<think>a"));
  ASSERT_TRUE(heard_->wait().ok());
  EXPECT_EQ(heard_->texts.back(), "<think>a");
}

TEST_F(GenerateTest, Logprobs) {
  GenerateCall call = prompt("Hi there");
  call.logprobs = 1;
  call.prompt_logprobs = true;
  const auto ticket = submit(call);
  const auto job = generator_.next();
  ASSERT_GE(job->request.prompt.size(), 2u);
  std::vector<engine::TokenEvent> events;
  for (size_t i = 1; i < job->request.prompt.size(); ++i)
    events.push_back({.id = job->request.prompt[i], .logprob = -2});
  job->admit();
  job->sink->on_prompt_logprobs(events);
  const auto answer = ids("ok");
  const engine::TokenLogprob top[] = {{answer[0], -0.5f}, {eos_, -1}};
  for (const int32_t id : answer) job->say(id, 0, top);
  job->say(eos_, 0, top);
  job->finish(Finish::kEos);
  job->end();
  ASSERT_TRUE(heard_->wait().ok());
  ASSERT_EQ(heard_->prompt.size(), job->request.prompt.size());
  std::string bytes;
  for (const auto& token : heard_->prompt) bytes += token.token.bytes;
  EXPECT_EQ(bytes, "Hi there");
  EXPECT_EQ(heard_->prompt[1].token.logprob, -2);
  ASSERT_EQ(heard_->logprobs.size(), answer.size());  // the end is no text
  EXPECT_EQ(heard_->logprobs[0].token.id, answer[0]);
  ASSERT_EQ(heard_->logprobs[0].top.size(), 2u);
  EXPECT_EQ(heard_->logprobs[0].top[1].bytes, "<|im_end|>");
}

// Scoring a prompt makes no tokens, but choices end all the same.
TEST_F(GenerateTest, ScoresAPrompt) {
  GenerateCall call = prompt("Hi");
  call.tokens_max = 0;
  const auto ticket = submit(call);
  const auto job = generator_.next();
  EXPECT_EQ(job->request.tokens_max, 0);
  job->admit();
  job->end();
  ASSERT_TRUE(heard_->wait().ok());
  EXPECT_EQ(heard_->events.back(), "finish 0 1");
}

// Seeds differ where none was asked for and are kept where one was.
TEST_F(GenerateTest, Seeds) {
  uint64_t drawn[2];
  for (auto& seed : drawn) {
    const auto ticket = submit(prompt("x"));
    seed = generator_.next()->request.sampling.seed;
  }
  EXPECT_NE(drawn[0], drawn[1]);
  GenerateCall call = prompt("x");
  call.seed = 9;
  const auto ticket = submit(call);
  EXPECT_EQ(generator_.next()->request.sampling.seed, 9u);
}

TEST_F(GenerateTest, RefusesInsideSubmitOrSoonAfter) {
  GenerateCall call = chat();
  call.choices = 0;
  EXPECT_EQ(submit(call), nullptr);
  EXPECT_EQ(heard_->error().param, "n");

  auto ticket = submit(prompt(std::string(3000, 'x') + " y z"));
  EXPECT_EQ(heard_->error().reason, "context_length_exceeded");
  EXPECT_EQ(heard_->error().param, "prompt");

  ticket = submit(prompt(""));
  EXPECT_EQ(heard_->error().code, Code::kInvalidArgument);

  start("qwen2", {}, "{{ raise_exception('no such role') }}");
  ticket = submit(chat());
  EXPECT_EQ(heard_->error().param, "messages");
  EXPECT_NE(heard_->error().message.find("no such role"), std::string::npos);

  generator_.refusal = Error{Code::kOverloaded, "the line is full"};
  ticket = submit(prompt("x"));
  EXPECT_EQ(heard_->error().code, Code::kOverloaded);
  EXPECT_EQ(service_->requests_open(), 0);
  EXPECT_EQ(generator_.submitted(), 0u);
}

TEST_F(GenerateTest, RefusesWhenPreparationIsFull) {
  const auto latch = block_prep();
  std::vector<std::unique_ptr<GenerateService::Ticket>> tickets;
  std::vector<std::shared_ptr<Listener>> listeners;
  for (int i = 0; i < 8; ++i) {
    tickets.push_back(submit(prompt("x")));
    listeners.push_back(heard_);
  }
  EXPECT_EQ(listeners.back()->error().code, Code::kOverloaded);
  EXPECT_EQ(tickets.back(), nullptr);
  EXPECT_NE(tickets.front(), nullptr);
  latch->count_down();
}

}  // namespace
}  // namespace sis::tasks
