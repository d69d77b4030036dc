// The service with an engine that says what the test wants, and a stream that keeps what it hears.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <functional>
#include <latch>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/strings.h"
#include "infer/text/chat_template/json_text.h"
#include "serve/tasks/generate.h"

namespace sis::tasks {

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
    void finish(engine::Finish finish, int32_t choice = 0) {
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
    void answer(const std::vector<int32_t>& ids, engine::Finish why = engine::Finish::kEos) {
      admit();
      for (const int32_t id : ids)
        if (!say(id)) {
          why = engine::Finish::kSink;
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
    for (const auto& call : delta.tool_calls) {
      calls += call.name + call.arguments;
      calls_of[choice] += call.name + call.arguments;
      if (!call.id.empty()) call_ids.insert(call.id);
    }
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
  std::map<int32_t, std::string> calls_of;  // of each choice
  std::set<std::string> call_ids;
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

}  // namespace sis::tasks
