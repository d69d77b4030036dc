#include "chat_session.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <condition_variable>
#include <cstdio>
#include <limits>
#include <mutex>

#include "arguments.h"
#include "base/strings.h"

namespace sis::apps {
namespace {

std::atomic<bool> g_stop{false};  // a signal handler has nothing else to reach
static_assert(std::atomic<bool>::is_always_lock_free);

class NoObserver final : public engine::GeneratorObserver {
 public:
  void on_step(int32_t, int32_t, Duration) override {}
  void on_admission(int32_t, Duration) override {}
  void on_preemption() override {}
  void on_tokens_after_cancel(int32_t) override {}
};

// Prints what comes and keeps it.
class Printer final : public tasks::GenerateStream {
 public:
  void on_start(int32_t) override {}
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
  Result<Answer> take() {
    std::lock_guard lock(mutex_);
    if (!end_) {
      show("", false);
      answer_.stopped = true;
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
    tasks::GenerateDefaults defaults = from.over({});
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
    auto printer = std::make_shared<Printer>();
    auto ticket = service_->submit(std::move(call), printer);
    printer->wait();
    ticket.reset();  // from here on nothing is printed
    return printer->take();
  }

 private:
  const LocalChatOptions options_;
  NoObserver observer_;
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
  app.add_option("--temperature", options.temperature, "0: greedy; default: the model's own")
      ->check(number_from(0, 2));
  app.add_option("--top-p", options.top_p, "default: the model's own")->check(number_from(0, 1));
  app.add_option("--top-k", options.top_k, "0: all; default: the model's own")
      ->check(CLI::Range(0, 1 << 24));
  app.add_option("--min-p", options.min_p, "default: the model's own")->check(number_from(0, 1));
  app.add_option("--seed", options.seed, "the same answer every time; default: another every time")
      ->check(whole_number_from(0, std::numeric_limits<int64_t>::max()));
}

std::string describe(const Answer& answer) {
  if (answer.stopped) return "stopped";
  const auto& usage = answer.usage;
  const double prefill = to_seconds(usage.prefill), decode = to_seconds(usage.decode);
  std::string text = concat("prompt ", usage.prompt_tokens, " tokens");
  if (usage.cached_tokens > 0) text += concat(" (", usage.cached_tokens, " cached)");
  text += fmt::format(" in {:.1f} ms, {} tokens", prefill * 1e3, usage.completion_tokens);
  if (usage.completion_tokens > 1 && decode > 0)
    text += fmt::format(" at {:.1f} tokens/s", (usage.completion_tokens - 1) / decode);
  if (answer.reason == tasks::FinishReason::kLength) text += ", stopped at the limit";
  return text;
}

void stop_answer() { g_stop = true; }

Result<std::unique_ptr<ChatSession>> ChatSession::open(const LocalChatOptions& options) {
  auto session = std::make_unique<LocalSession>(options);
  SIS_TRY(session->open());
  return std::unique_ptr<ChatSession>(std::move(session));
}

}  // namespace sis::apps
