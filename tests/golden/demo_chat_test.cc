// The chat model in the box: of 200 questions by another hand (tests/golden/chat_questions.json,
// never trained on) its greedy answers name the right setting, route or metric for at least
// kRightMin; and int8, int4 and the int8 cache choose the token that f32 chooses.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <nlohmann/json.hpp>
#include <numeric>

#include "base/check.h"
#include "infer/models/registry.h"
#include "infer/weights/json_file.h"
#include "serve/server/chat_loader.h"
#include "serve/tasks/generate.h"

namespace sis {
namespace {

using text::tmpl::Value;

constexpr const char* kFolder = "demo/models/chat";
constexpr int kRightMin = 170;  // of 200

class Answers final : public tasks::GenerateStream {
 public:
  void on_start(int32_t) override {}
  void on_delta(int32_t, tasks::Delta delta) override { text += delta.content; }
  void on_finish(int32_t, tasks::FinishReason) override {}
  void on_end(Result<tasks::Usage> usage) override {
    std::lock_guard lock(mutex);
    if (!usage.ok()) error = usage.error().message;
    done = true;
    changed.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex);
    changed.wait_for(lock, std::chrono::seconds(120), [this] { return done; });
    SIS_CHECK(done, "no end");
  }

  std::string text, error;
  std::mutex mutex;
  std::condition_variable changed;
  bool done = false;
};

struct Quiet final : engine::GeneratorObserver {
  void on_step(int32_t, int32_t, Duration) override {}
  void on_admission(int32_t, Duration) override {}
  void on_preemption() override {}
  void on_tokens_after_cancel(int32_t) override {}
};

// `key` as a whole name: MAX_QUEUE_SIZE does not count inside CHAT_MAX_QUEUE_SIZE, nor /predict
// inside /predict_batch.
bool names(const std::string& answer, const std::string& key) {
  const auto inside = [](char c, const char* more) {
    return std::isalnum(static_cast<unsigned char>(c)) || std::strchr(more, c) != nullptr;
  };
  const auto same = [](char a, char b) {
    return std::tolower(static_cast<unsigned char>(a)) ==
           std::tolower(static_cast<unsigned char>(b));
  };
  for (auto at = answer.begin();; ++at) {
    at = std::search(at, answer.end(), key.begin(), key.end(), same);
    if (at == answer.end()) return false;
    const auto end = at + static_cast<std::ptrdiff_t>(key.size());
    const bool begins = at == answer.begin() || !inside(*(at - 1), "_-");
    const bool ends = end == answer.end() || !inside(*end, "_-/");
    if (begins && ends) return true;
  }
}

TEST(DemoChat, NamesTheRightThing) {
  const auto questions = weights::read_json_file("tests/golden/chat_questions.json");
  ASSERT_TRUE(questions.ok()) << questions.error().message;
  SteadyClock clock;
  engine::DeviceExecutor executor({.threads = 2, .isa = detect_isa()}, clock);
  TaskPool pool("prep", 1, 1000);
  Quiet observer;
  const auto model = server::load_chat_model({.name = "demo/chat", .folder = kFolder}, executor);
  ASSERT_TRUE(model.ok()) << model.error().message;
  const auto plan =
      server::plan_kv_cache(*model->decoder, {.sequences = 32, .memory_free_bytes = 1LL << 34});
  ASSERT_TRUE(plan.ok());
  const auto generator = engine::Generator::create(*model->decoder,
                                                   {.sequences_max = 32,
                                                    .queue_requests_max = 1000,
                                                    .queue_wait_max = {},
                                                    .context_max = plan->context,
                                                    .kv_bytes = plan->bytes},
                                                   executor, pool, clock, observer);
  ASSERT_TRUE(generator.ok()) << generator.error().message;
  const auto service = tasks::GenerateService::create(
      model->text_model(), model->generation.eos_ids, {}, **generator, pool, clock);

  std::vector<std::shared_ptr<Answers>> answers;
  std::vector<std::unique_ptr<tasks::GenerateService::Ticket>> tickets;
  for (const auto& item : *questions) {
    tasks::GenerateCall call;
    call.chat.emplace();
    call.chat->add_generation_prompt = true;
    call.chat->messages = Value::list({Value::dict(
        {{Value::string("role"), Value::string("user")},
         {Value::string("content"), Value::string(item["question"].get<std::string>())}})});
    call.temperature = 0.0f;
    call.tokens_max = 160;
    answers.push_back(std::make_shared<Answers>());
    tickets.push_back(service->submit(std::move(call), answers.back()));
  }
  int right = 0;
  for (size_t i = 0; i < answers.size(); ++i) {
    answers[i]->wait();
    ASSERT_EQ(answers[i]->error, "");
    const auto keys = (*questions)[i]["any"].get<std::vector<std::string>>();
    right += std::any_of(keys.begin(), keys.end(),
                         [&](const auto& key) { return names(answers[i]->text, key); });
  }
  std::printf("  %d of %zu questions\n", right, answers.size());
  EXPECT_GE(right, kRightMin);
}

// The model in one precision, a sequence at a time.
class Model {
 public:
  Model(DType compute, DType kv) : context_{team_, workspace_, detect_isa()} {
    auto loaded =
        models::load_decoder(kFolder, {.compute = compute, .kv = kv, .isa = context_.isa}, team_);
    SIS_CHECK(loaded.ok(), loaded.error().message);
    decoder_ = std::move(*loaded);
    cache_ = Buffer(kBlocks * static_cast<size_t>(decoder_->kv_layout().block_bytes()));
    for (int32_t i = 0; i < kBlocks; ++i) blocks_.push_back(i);
  }
  // The most likely token after every token of `ids`.
  std::vector<int32_t> choices(const std::vector<int32_t>& ids) {
    const auto tokens = static_cast<int32_t>(ids.size());
    std::vector<int32_t> rows(ids.size());
    std::iota(rows.begin(), rows.end(), 0);
    const ops::KvRows sequence{.blocks = blocks_.data(), .past = 0, .tokens = tokens, .row = 0};
    workspace_.reset();
    Mat<float> logits = workspace_.take_mat<float>(tokens, decoder_->info().vocab);
    decoder_->forward(context_, {.ids = ids, .sequences = {&sequence, 1}, .logit_rows = rows},
                      {cache_.data(), decoder_->kv_layout()}, logits);
    std::vector<int32_t> best;
    for (int64_t r = 0; r < logits.rows; ++r)
      best.push_back(static_cast<int32_t>(
          std::max_element(logits.row(r), logits.row(r) + logits.cols) - logits.row(r)));
    return best;
  }

 private:
  static constexpr int32_t kBlocks = 8;
  ThreadTeam team_{{.workers = 2, .pin = false}};
  Workspace workspace_;
  ops::Context context_;
  std::unique_ptr<nn::Decoder> decoder_;
  Buffer cache_;
  std::vector<int32_t> blocks_;
};

// Over the tokens of f32's own greedy answers, each read with f32's tokens before it.
TEST(DemoChat, NarrowTypesChooseTheSameTokens) {
  const auto tokenizer = text::Tokenizer::from_folder(kFolder);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  const auto end = (*tokenizer)->token_to_id("<|im_end|>");
  ASSERT_TRUE(end);
  Model f32(DType::kF32, DType::kF32);
  struct Answer {
    std::vector<int32_t> ids;
    size_t prompt;
  };
  std::vector<Answer> answers;
  size_t total = 0;
  for (const char* question :
       {"how many requests may wait?", "where do i scrape the metrics", "how do I embed texts?",
        "what is the capital of France?", "which setting closes idle connections",
        "is the server ready?", "how long may a chat answer be", "hello",
        "which metric counts chat requests", "how can I make embeddings faster?",
        "what bounds the length of a prompt?"}) {
    Answer answer{(*tokenizer)
                      ->encode(std::string("<|im_start|>user\n") + question +
                                   "<|im_end|>\n<|im_start|>assistant\n",
                               {})
                      .ids,
                  0};
    answer.prompt = answer.ids.size();
    while (answer.ids.size() < answer.prompt + 100 && answer.ids.back() != *end)
      answer.ids.push_back(f32.choices(answer.ids).back());
    total += answer.ids.size() - answer.prompt;
    answers.push_back(std::move(answer));
  }
  ASSERT_GE(total, 256u);
  const struct {
    const char* name;
    DType compute, kv;
    double agreement_min;
  } kTypes[] = {{"bf16", DType::kBf16, DType::kBf16, 0.99},
                {"bf16, int8 cache", DType::kBf16, DType::kI8, 0.99},
                {"int8", DType::kI8, DType::kBf16, 0.98},
                {"int4", DType::kI4, DType::kBf16, 0.95}};
  for (const auto& type : kTypes) {
    Model model(type.compute, type.kv);
    size_t same = 0;
    for (const auto& answer : answers) {
      const auto got = model.choices(answer.ids);
      for (size_t i = answer.prompt; i < answer.ids.size(); ++i)
        same += got[i - 1] == answer.ids[i];
    }
    const double agreement = static_cast<double>(same) / static_cast<double>(total);
    std::printf("  %s: %zu of %zu tokens, %.3f\n", type.name, same, total, agreement);
    EXPECT_GE(agreement, type.agreement_min) << type.name;
  }
}

}  // namespace
}  // namespace sis
