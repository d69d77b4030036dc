// The service with an engine that says what the test wants: every stage a request can be in when
// it ends, and what its stream hears.
#include "serve/tasks/generate.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <latch>
#include <mutex>
#include <thread>

#include "base/strings.h"
#include "infer/text/chat_template/json_text.h"
#include "infer/text/grammar/compile.h"

namespace sis::tasks {
namespace {

using engine::Finish;

// Stands at the place of the engine: keeps what it was given; the test calls the sinks.
class ScriptedGenerator final : public engine::Generator {
 public:
  struct Job {
    engine::GenerateRequest request;
    std::shared_ptr<engine::TokenSink> sink;
    std::mutex mutex;  // held during a call of the sink
    bool cancelled = false;

    // False: the sink is gone or wants no more.
    bool say(int32_t id, int32_t choice = 0, std::span<const engine::TokenLogprob> top = {}) {
      const std::lock_guard lock(mutex);
      return !cancelled && sink->on_token(choice, {.id = id, .logprob = -0.5f, .top = top});
    }
    void admit() {
      const std::lock_guard lock(mutex);
      if (!cancelled) sink->on_admitted(stats());
    }
    void finish(Finish finish, int32_t choice = 0) {
      const std::lock_guard lock(mutex);
      if (!cancelled) sink->on_finish(choice, finish);
    }
    void end() {
      const std::lock_guard lock(mutex);
      if (!cancelled) sink->on_end(stats());
    }
    void fail(Error error) {
      const std::lock_guard lock(mutex);
      if (!cancelled) sink->on_end(std::move(error));
    }
    engine::GenerateStats stats() const {
      return {.prompt_tokens = static_cast<int32_t>(request.prompt.size()),
              .cached_tokens = 2,
              .queue = from_ms(1),
              .prefill = from_ms(2)};
    }
    // All of `ids` and the end.
    void answer(const std::vector<int32_t>& ids, Finish why = Finish::kEos) {
      admit();
      for (const int32_t id : ids)
        if (!say(id)) {
          why = Finish::kSink;
          break;
        }
      finish(why);
      end();
    }
  };
  using JobPtr = std::shared_ptr<Job>;  // the test, the ticket

  Result<std::unique_ptr<Ticket>> submit(engine::GenerateRequest request,
                                         std::shared_ptr<engine::TokenSink> sink) override {
    auto job = std::make_shared<Job>();
    job->request = std::move(request);
    job->sink = std::move(sink);
    std::unique_lock lock(mutex_);
    if (refusal) return *refusal;
    jobs_.push_back(job);
    ++tickets_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return !hold; });
    lock.unlock();
    if (on_submit) on_submit(*job);
    return std::unique_ptr<Ticket>(new TicketImpl(*this, std::move(job)));
  }
  void close() override {}
  engine::GeneratorGauges gauges() const override { return {}; }
  const engine::GeneratorOptions& options() const override { return options_; }

  // The next request, when it has come.
  JobPtr next() {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, std::chrono::seconds(20),
                           [this] { return taken_ < jobs_.size(); }))
      return nullptr;
    return jobs_[taken_++];
  }
  JobPtr next_now() {
    const std::lock_guard lock(mutex_);
    return taken_ < jobs_.size() ? jobs_[taken_++] : nullptr;
  }
  size_t submitted() const {
    const std::lock_guard lock(mutex_);
    return jobs_.size();
  }
  int tickets() const {
    const std::lock_guard lock(mutex_);
    return tickets_;
  }
  void release() {
    const std::lock_guard lock(mutex_);
    hold = false;
    changed_.notify_all();
  }

  std::optional<Error> refusal;
  std::function<void(Job&)> on_submit;  // before submit() returns
  bool hold = false;                    // submit() does not return

 private:
  class TicketImpl final : public Ticket {
   public:
    TicketImpl(ScriptedGenerator& generator, JobPtr job)
        : generator_(generator), job_(std::move(job)) {}
    ~TicketImpl() override {
      std::shared_ptr<engine::TokenSink> sink;
      {
        const std::lock_guard lock(job_->mutex);
        job_->cancelled = true;
        sink = std::move(job_->sink);
      }
      const std::lock_guard lock(generator_.mutex_);
      --generator_.tickets_;
    }

   private:
    ScriptedGenerator& generator_;
    const JobPtr job_;
  };

  engine::GeneratorOptions options_ = [] {
    engine::GeneratorOptions options;
    options.context_max = 600;
    return options;
  }();
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<JobPtr> jobs_;
  size_t taken_ = 0;
  int tickets_ = 0;
};

class Listener final : public GenerateStream {
 public:
  void on_start(int32_t prompt_tokens) override {
    note(concat("start ", prompt_tokens > 0 ? "+" : "0"));
  }
  void on_prompt(std::vector<TokenLogprobs> tokens) override {
    const std::lock_guard lock(mutex_);
    prompt = std::move(tokens);
  }
  void on_delta(int32_t choice, Delta delta) override {
    const std::lock_guard lock(mutex_);
    if (texts.size() <= static_cast<size_t>(choice)) texts.resize(static_cast<size_t>(choice) + 1);
    texts[static_cast<size_t>(choice)] += delta.content;
    reasoning += delta.reasoning;
    for (const auto& call : delta.tool_calls) calls += call.name + call.arguments;
    for (auto& token : delta.logprobs) logprobs.push_back(std::move(token));
    ++deltas;
  }
  void on_finish(int32_t choice, FinishReason reason) override {
    note(concat("finish ", choice, " ", static_cast<int>(reason)));
  }
  void on_end(Result<Usage> result) override {
    const std::lock_guard lock(mutex_);
    EXPECT_FALSE(end.has_value()) << "a second end";
    end = std::move(result);
    changed_.notify_all();
  }

  // Waits for the end.
  const Result<Usage>& wait() {
    std::unique_lock lock(mutex_);
    const bool ended =
        changed_.wait_for(lock, std::chrono::seconds(20), [this] { return end.has_value(); });
    if (!ended) end = Error{Code::kInternal, "no end came"};
    return *end;
  }
  bool ended() const {
    const std::lock_guard lock(mutex_);
    return end.has_value();
  }
  Error error() {
    const auto& result = wait();
    return result.ok() ? Error{Code::kInternal, "it succeeded"} : result.error();
  }

  std::vector<std::string> texts, events;
  std::string reasoning, calls;
  std::vector<TokenLogprobs> prompt, logprobs;
  std::optional<Result<Usage>> end;
  int deltas = 0;

 private:
  void note(std::string event) {
    const std::lock_guard lock(mutex_);
    events.push_back(std::move(event));
  }
  mutable std::mutex mutex_;
  std::condition_variable changed_;
};

class GenerateTest : public testing::Test {
 protected:
  void SetUp() override { start("qwen2", {}); }
  void TearDown() override {
    service_.reset();
    EXPECT_EQ(generator_.tickets(), 0) << "a ticket of the engine leaked";
  }

  void start(const char* family, GenerateDefaults defaults, const char* source = nullptr) {
    service_.reset();
    const std::string folder = concat("tests/golden/tokenizer/", family);
    auto tokenizer = text::Tokenizer::from_folder(folder);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
    tokenizer_ = std::move(*tokenizer);
    auto templates = text::ChatTemplates::from_folder(folder);
    ASSERT_TRUE(templates.ok()) << templates.error().message;
    templates_ = std::move(*templates);
    if (source != nullptr)
      templates_ = text::ChatTemplates::from_template(*text::ChatTemplate::parse(source));
    eos_ = *tokenizer_->token_to_id("<|im_end|>");
    service_ = GenerateService::create({"m", tokenizer_.get(), &templates_, 4096}, {eos_}, defaults,
                                       generator_, prep_, clock_);
  }

  static GenerateCall chat(const char* messages = R"([{"role":"user","content":"Hi"}])") {
    GenerateCall call;
    call.chat.emplace();
    call.chat->messages = *text::tmpl::from_json(messages, "messages", 50);
    call.chat->add_generation_prompt = true;
    return call;
  }
  static GenerateCall with_tools(ToolChoice choice) {
    GenerateCall call = chat();
    call.tools = {{.name = "f"}, {.name = "g", .parameters = R"({"type":"object"})"}};
    call.tool_choice = choice;
    call.chat->tools = *text::tmpl::from_json(
        R"([{"type":"function","function":{"name":"f"}},{"type":"function","function":{"name":"g"}}])",
        "tools", 50);
    return call;
  }
  static GenerateCall prompt(std::string text) {
    GenerateCall call;
    call.text = std::move(text);
    return call;
  }
  std::unique_ptr<GenerateService::Ticket> submit(GenerateCall call) {
    heard_ = std::make_shared<Listener>();
    return service_->submit(std::move(call), heard_);
  }
  std::vector<int32_t> ids(std::string_view text) const {
    return tokenizer_->encode(text, {.add_special_tokens = false}).ids;
  }
  // The engine's tickets go soon after their requests.
  void expect_no_tickets() {
    for (int ms = 0; ms < 20000 && generator_.tickets() > 0; ++ms) {
      service_->sweep();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    EXPECT_EQ(generator_.tickets(), 0);
  }
  // Jobs that keep the prep pool's only thread busy until released.
  std::shared_ptr<std::latch> block_prep() {
    auto latch = std::make_shared<std::latch>(1);
    prep_.post_always([latch] { latch->wait(); });
    return latch;
  }

  ManualClock clock_;
  ScriptedGenerator generator_;
  TaskPool prep_{"prep", 1, 4};
  std::unique_ptr<text::Tokenizer> tokenizer_;
  text::ChatTemplates templates_;
  int32_t eos_ = 0;
  std::unique_ptr<GenerateService> service_;
  std::shared_ptr<Listener> heard_;
};

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

// --- Cancelling at every stage: nothing is heard afterwards and nothing is left.

TEST_F(GenerateTest, CancelledBeforePreparation) {
  const auto latch = block_prep();
  auto ticket = submit(chat());
  ticket.reset();
  EXPECT_EQ(service_->requests_open(), 0);
  latch->count_down();
  auto later = submit(chat());  // behind it on the only thread
  ASSERT_NE(generator_.next(), nullptr);
  EXPECT_EQ(generator_.submitted(), 1u);
}

TEST_F(GenerateTest, CancelledWhileTheEngineTakesIt) {
  generator_.hold = true;
  auto ticket = submit(chat());
  const auto listener = heard_;
  const auto job = generator_.next();
  ticket.reset();
  EXPECT_EQ(service_->requests_open(), 0);
  job->admit();
  EXPECT_FALSE(job->say(5));
  generator_.release();
  auto later = submit(chat());
  ASSERT_NE(generator_.next(), nullptr);  // the first ticket came and went
  later.reset();
  expect_no_tickets();
  EXPECT_TRUE(listener->events.empty());
  EXPECT_FALSE(listener->ended());
}

TEST_F(GenerateTest, CancelledWhileGenerating) {
  auto ticket = submit(chat());
  const auto job = generator_.next();
  job->admit();
  job->say(ids("a")[0]);
  // submit() on the prep thread may still be about to hand over the engine's ticket.
  ticket.reset();
  const int deltas = heard_->deltas;
  EXPECT_FALSE(job->say(ids("b")[0]));
  job->finish(Finish::kLength);
  job->end();
  EXPECT_EQ(heard_->deltas, deltas);
  EXPECT_FALSE(heard_->ended());
  EXPECT_EQ(service_->requests_open(), 0);
  expect_no_tickets();
}

// A ticket that is destroyed during a callback waits for its end.
TEST_F(GenerateTest, CancellingWaitsForACallback) {
  class Slow final : public GenerateStream {
   public:
    void on_start(int32_t) override {
      entered.count_down();
      go_on.wait();
      left = true;
    }
    void on_delta(int32_t, Delta) override { ADD_FAILURE(); }
    void on_finish(int32_t, FinishReason) override { ADD_FAILURE(); }
    void on_end(Result<Usage>) override { ADD_FAILURE(); }
    std::latch entered{1}, go_on{1};
    std::atomic<bool> left = false;
  };
  const auto slow = std::make_shared<Slow>();
  auto ticket = service_->submit(chat(), slow);
  const auto job = generator_.next();
  std::thread executor([&] { job->admit(); });
  slow->entered.wait();
  std::thread canceller([&] {
    ticket.reset();
    EXPECT_TRUE(slow->left);
  });
  slow->go_on.count_down();
  canceller.join();
  executor.join();
  EXPECT_FALSE(job->say(5));
}

TEST_F(GenerateTest, CancelledAfterItsEnd) {
  auto ticket = submit(chat());
  generator_.next()->answer(ids("a"));
  ASSERT_TRUE(heard_->wait().ok());
  ticket.reset();
  expect_no_tickets();
}

// The engine may end a request before its submit() has returned.
TEST_F(GenerateTest, AnsweredInsideTheEnginesSubmit) {
  generator_.on_submit = [this](ScriptedGenerator::Job& job) { job.answer(ids("quick")); };
  const auto ticket = submit(chat());
  ASSERT_TRUE(heard_->wait().ok());
  EXPECT_EQ(heard_->texts[0], "quick");
}

// --- Deadlines, by the clock of the test.

TEST_F(GenerateTest, PreparationHasADeadline) {
  const auto latch = block_prep();
  const auto ticket = submit(chat());
  service_->sweep();
  EXPECT_FALSE(heard_->ended());
  clock_.advance(service_->defaults().prepare_timeout);
  service_->sweep();
  ASSERT_TRUE(heard_->ended());
  EXPECT_EQ(heard_->error().code, Code::kDeadline);
  EXPECT_EQ(heard_->error().message, "not prepared within 10 s");
  latch->count_down();
  const auto later = submit(chat());
  generator_.next();
  EXPECT_EQ(generator_.submitted(), 1u);
}

// A request that waited too long for the pool is not begun, swept or not.
TEST_F(GenerateTest, LatePreparationIsNotBegun) {
  const auto latch = block_prep();
  const auto ticket = submit(chat());
  clock_.advance(service_->defaults().prepare_timeout);
  latch->count_down();
  EXPECT_EQ(heard_->error().code, Code::kDeadline);
  EXPECT_EQ(generator_.submitted(), 0u);
}

TEST_F(GenerateTest, GenerationHasADeadlineFromTheEndOfPreparation) {
  const auto latch = block_prep();
  const auto ticket = submit(chat());
  clock_.advance(from_seconds(9));
  latch->count_down();
  const auto job = generator_.next();
  job->admit();
  job->say(ids("a")[0]);
  clock_.advance(from_seconds(59));
  service_->sweep();
  EXPECT_FALSE(heard_->ended());
  EXPECT_TRUE(job->say(ids("a")[0]));
  clock_.advance(from_seconds(1));
  service_->sweep();
  EXPECT_EQ(heard_->error().code, Code::kDeadline);
  EXPECT_FALSE(job->say(ids("a")[0]));
  expect_no_tickets();
}

TEST_F(GenerateTest, TheClientsDeadlineComesFirst) {
  for (const bool running : {false, true}) {
    auto call = chat();
    call.deadline = clock_.now() + from_seconds(3);
    const auto latch = block_prep();
    const auto ticket = submit(std::move(call));
    if (running) {
      latch->count_down();
      generator_.next()->admit();
    }
    clock_.advance(from_seconds(2));
    service_->sweep();
    EXPECT_FALSE(heard_->ended());
    clock_.advance(from_seconds(1));
    service_->sweep();
    EXPECT_EQ(heard_->error().code, Code::kDeadline);
    EXPECT_EQ(heard_->error().message, "no whole answer within the request's own time limit");
    if (!running) latch->count_down();
  }
}

// --- Closing.

TEST_F(GenerateTest, ClosedRefusesAndRunsOn) {
  const auto ticket = submit(chat());
  const auto listener = heard_;
  const auto job = generator_.next();
  service_->close();
  EXPECT_EQ(submit(chat()), nullptr);
  EXPECT_EQ(heard_->error().code, Code::kUnavailable);
  job->answer(ids("still"));
  ASSERT_TRUE(listener->wait().ok());
  EXPECT_EQ(listener->texts[0], "still");
}

// Destroying the service ends what is open, in preparation or in the engine; tickets may follow.
TEST_F(GenerateTest, DestroyedEndsEverything) {
  auto generating = submit(chat());
  const auto first = heard_;
  ASSERT_NE(generator_.next(), nullptr);
  const auto latch = block_prep();
  auto preparing = submit(chat());
  const auto second = heard_;
  service_.reset();
  EXPECT_EQ(first->error().code, Code::kUnavailable);
  EXPECT_EQ(second->error().code, Code::kUnavailable);
  EXPECT_EQ(generator_.tickets(), 0);
  latch->count_down();
  generating.reset();
  preparing.reset();
  start("qwen2", {});
}

// Requests of many clients that end in every way at once; the count of tickets shows leaks, the
// sanitizers show races.
TEST_F(GenerateTest, ManyAtOnce) {
  std::atomic<bool> stop = false;
  std::thread executor([&] {
    while (!stop) {
      if (const auto job = generator_.next_now())
        job->answer(ids("one two three"));
      else
        std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
  });
  std::atomic<int> answered = 0;
  std::vector<std::thread> clients;
  for (int client = 0; client < 3; ++client)
    clients.emplace_back([&, client] {
      for (int i = 0; i < 60; ++i) {
        const auto listener = std::make_shared<Listener>();
        auto ticket = service_->submit(chat(), listener);
        if (i % 3 == client) std::this_thread::yield();
        if (i % 3 == 0) {
          ticket.reset();
        } else {
          const auto& end = listener->wait();
          if (end.ok()) {
            EXPECT_EQ(listener->texts[0], "one two three");
            ++answered;
          } else {
            EXPECT_EQ(end.error().code, Code::kOverloaded);  // the pool's line is short
          }
        }
        service_->sweep();
      }
    });
  for (auto& thread : clients) thread.join();
  stop = true;
  executor.join();
  EXPECT_GT(answered, 0);
  EXPECT_EQ(service_->requests_open(), 0);
}

}  // namespace
}  // namespace sis::tasks
