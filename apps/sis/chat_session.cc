#include "chat_session.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <condition_variable>
#include <cstdio>
#include <limits>
#include <mutex>

#include "arguments.h"
#include "base/strings.h"
#include "serve/server/chat_options.h"

namespace sis::apps {
namespace {

std::atomic<bool> g_stop{false};  // a signal handler has nothing else to reach
static_assert(std::atomic<bool>::is_always_lock_free);

// What the device has done for the answer under way: a stopped one has no usage of its own. One
// sequence runs at a time, so a row that decodes is a token.
class StepCounter final : public engine::GeneratorObserver {
 public:
  struct Counts {
    int32_t prefill_tokens = 0, decode_tokens = 0;
    Duration prefill{}, decode{};
  };
  void begin() {
    std::lock_guard lock(mutex_);
    counts_ = {};
  }
  Counts counts() const {
    std::lock_guard lock(mutex_);
    return counts_;
  }

  void on_step(int32_t prefill_tokens, int32_t decode_rows, Duration compute) override {
    std::lock_guard lock(mutex_);
    counts_.prefill_tokens += prefill_tokens;
    counts_.decode_tokens += decode_rows;
    (decode_rows > 0 ? counts_.decode : counts_.prefill) += compute;
  }
  void on_admission(int32_t, Duration) override {}
  void on_preemption() override {}
  void on_tokens_after_cancel(int32_t) override {}

 private:
  mutable std::mutex mutex_;
  Counts counts_;
};

// Prints what comes and keeps it.
class Printer final : public tasks::GenerateStream {
 public:
  void on_prompt_tokens(int32_t tokens) override {
    std::lock_guard lock(mutex_);
    computed_tokens_ = tokens;
  }
  void on_start(int32_t prompt_tokens) override {
    std::lock_guard lock(mutex_);
    answer_.usage.prompt_tokens = prompt_tokens;
    answer_.usage.cached_tokens = prompt_tokens - computed_tokens_;
  }
  void on_delta(int32_t, tasks::Delta delta) override {
    std::lock_guard lock(mutex_);
    show(delta.reasoning, true);
    show(delta.content, false);
    answer_.reasoning += delta.reasoning;
    answer_.content += delta.content;
  }
  void on_finish(int32_t, tasks::FinishReason reason) override {
    std::lock_guard lock(mutex_);
    answer_.reason = reason;
  }
  void on_end(Result<tasks::Usage> usage) override {
    std::lock_guard lock(mutex_);
    show("", false);
    end_ = std::move(usage);
    changed_.notify_all();
  }

  // The end, or nothing when the answer is to be stopped.
  bool wait() {
    std::unique_lock lock(mutex_);
    while (!end_ && !g_stop.load()) changed_.wait_for(lock, std::chrono::milliseconds(20));
    return end_.has_value();
  }
  // After wait(), when nothing is called any more.
  Result<Answer> take(const StepCounter::Counts& steps) {
    std::lock_guard lock(mutex_);
    if (!end_) {
      show("", false);
      answer_.stopped = true;
      auto& usage = answer_.usage;
      // The prompt's last step gives the first token.
      const bool prefilled = usage.prompt_tokens > 0 && steps.prefill_tokens >= computed_tokens_;
      usage.completion_tokens = steps.decode_tokens + (prefilled ? 1 : 0);
      usage.prefill = steps.prefill;
      usage.decode = steps.decode;
      return std::move(answer_);
    }
    if (!end_->ok()) return std::move(*end_).error();
    answer_.usage = **end_;
    return std::move(answer_);
  }

 private:
  void show(std::string_view text, bool reasoning) {
    if (text.empty() && reasoning == dim_) return;
    if (text.empty() && reasoning) return;
    if (reasoning != dim_ && terminal_) std::fputs(reasoning ? "\x1b[2m" : "\x1b[0m\n", stdout);
    dim_ = reasoning;
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  }

  const bool terminal_ = isatty(STDOUT_FILENO) == 1;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool dim_ = false;
  int32_t computed_tokens_ = 0;  // of the prompt; the others are cached
  Answer answer_;
  std::optional<Result<tasks::Usage>> end_;
};

class LocalSession final : public ChatSession {
 public:
  explicit LocalSession(const LocalChatOptions& options) : options_(options) {}

  Status open() {
    SIS_ASSIGN(chat_, load_local_chat(options_, observer_));
    model_ = chat_->model.text_model();
    const auto& from = chat_->model.generation;
    tasks::GenerateDefaults defaults = from.over(server::kSamplingDefaults);
    // One user: nothing but the context bounds an answer, and it may take its time.
    defaults.tokens_max = chat_->plan.context;
    defaults.tokens_ceiling = chat_->plan.context;
    defaults.prompt_tokens_max = chat_->plan.context;
    defaults.prepare_timeout = from_seconds(3600);
    defaults.generate_timeout = from_seconds(24 * 3600);
    service_ = tasks::GenerateService::create(model_, from.eos_ids, defaults, *chat_->generator,
                                              *chat_->pool, chat_->clock);
    return {};
  }

  std::string summary() const override { return chat_->summary(); }
  const tasks::TextModel& model() const override { return model_; }
  engine::GeneratorGauges gauges() const override { return chat_->generator->gauges(); }

  Result<Answer> run(tasks::GenerateCall call, const AnswerOptions& options) override {
    if (options.tokens_max > 0) call.tokens_max = options.tokens_max;
    if (options.temperature >= 0) call.temperature = options.temperature;
    if (options.top_p >= 0) call.top_p = options.top_p;
    if (options.min_p >= 0) call.min_p = options.min_p;
    if (options.top_k >= 0) call.top_k = options.top_k;
    if (options.seed >= 0) call.seed = static_cast<uint64_t>(options.seed);
    g_stop = false;
    observer_.begin();
    auto printer = std::make_shared<Printer>();
    auto ticket = service_->submit(std::move(call), printer);
    printer->wait();
    const auto steps = observer_.counts();
    ticket.reset();  // from here on nothing is printed
    return printer->take(steps);
  }

 private:
  const LocalChatOptions options_;
  StepCounter observer_;
  std::unique_ptr<LocalChat> chat_;
  tasks::TextModel model_;
  std::unique_ptr<tasks::GenerateService> service_;
};

}  // namespace

void add_options(CLI::App& app, AnswerOptions& options) {
  app.add_option("--max-tokens,-n", options.tokens_max,
                 "of an answer; 0: until the model ends or the context is full")
      ->check(CLI::Range(0, 1 << 24))
      ->capture_default_str();
  app.add_option("--temperature", options.temperature,
                 "0: greedy; default: the model's own, else 0.7")
      ->check(number_from(0, 2));
  app.add_option("--top-p", options.top_p, "default: the model's own, else 0.9")
      ->check(number_from(0, 1));
  app.add_option("--top-k", options.top_k, "0: all; default: the model's own")
      ->check(CLI::Range(0, 1 << 24));
  app.add_option("--min-p", options.min_p, "default: the model's own")->check(number_from(0, 1));
  app.add_option("--seed", options.seed, "the same answer every time; default: another every time")
      ->check(whole_number_from(0, std::numeric_limits<int64_t>::max()));
}

std::string describe(const Answer& answer) {
  const auto& usage = answer.usage;
  const double prefill = to_seconds(usage.prefill), decode = to_seconds(usage.decode);
  std::string prompt = concat("prompt ", usage.prompt_tokens, " tokens");
  if (usage.cached_tokens > 0) prompt += concat(" (", usage.cached_tokens, " cached)");
  prompt += fmt::format(" in {:.1f} ms", prefill * 1e3);
  std::string made = concat(usage.completion_tokens, " tokens");
  if (usage.completion_tokens > 1 && decode > 0)
    made += fmt::format(" at {:.1f} tokens/s", (usage.completion_tokens - 1) / decode);
  if (answer.stopped) return concat("stopped after ", made, "; ", prompt);
  const bool limited = answer.reason == tasks::FinishReason::kLength;
  return concat(prompt, ", ", made, limited ? ", stopped at the limit" : "");
}

void stop_answer() { g_stop = true; }

Result<std::unique_ptr<ChatSession>> ChatSession::open(const LocalChatOptions& options) {
  auto session = std::make_unique<LocalSession>(options);
  SIS_TRY(session->open());
  return std::unique_ptr<ChatSession>(std::move(session));
}

}  // namespace sis::apps
