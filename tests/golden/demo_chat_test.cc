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

// The most likely token after every token of `ids`.
std::vector<int32_t> choices(DType compute, DType kv, const std::vector<int32_t>& ids) {
  ThreadTeam team({.workers = 2, .pin = false});
  Workspace workspace;
  ops::Context context{team, workspace, detect_isa()};
  const auto decoder =
      models::load_decoder(kFolder, {.compute = compute, .kv = kv, .isa = context.isa}, team);
  SIS_CHECK(decoder.ok(), decoder.error().message);
  const auto layout = (*decoder)->kv_layout();
  const auto tokens = static_cast<int32_t>(ids.size());
  std::vector<int32_t> blocks((ids.size() + kernels::kKvBlockTokens - 1) / kernels::kKvBlockTokens);
  std::vector<int32_t> rows(ids.size());
  for (size_t i = 0; i < blocks.size(); ++i) blocks[i] = static_cast<int32_t>(i);
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<int32_t>(i);
  Buffer cache(blocks.size() * static_cast<size_t>(layout.block_bytes()));
  const ops::KvRows sequence{.blocks = blocks.data(), .past = 0, .tokens = tokens, .row = 0};
  Mat<float> logits = workspace.take_mat<float>(tokens, (*decoder)->info().vocab);
  (*decoder)->forward(context, {.ids = ids, .sequences = {&sequence, 1}, .logit_rows = rows},
                      {cache.data(), layout}, logits);
  std::vector<int32_t> best;
  for (int64_t r = 0; r < logits.rows; ++r)
    best.push_back(static_cast<int32_t>(
        std::max_element(logits.row(r), logits.row(r) + logits.cols) - logits.row(r)));
  return best;
}

TEST(DemoChat, NarrowTypesChooseTheSameTokens) {
  const auto tokenizer = text::Tokenizer::from_folder(kFolder);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  // Conversations as the model knows them, 256 tokens and more.
  const char* const kTurns[][2] = {
      {"how many requests may wait?",
       "MAX_QUEUE_SIZE bounds how many requests may wait and run together. Default: 64."},
      {"where do i scrape the metrics", "The metrics are at `/metrics`, in Prometheus' format."},
      {"how do I embed texts?", "Send them to `POST /v1/embeddings`: model and input."},
      {"thanks!", "You are welcome."},
      {"what is the capital of France?", "I do not know that; I only know this server."},
      {"which setting closes idle connections", "HTTP_IDLE_TIMEOUT_SEC closes idle connections."},
      {"is the server ready?", "Ask `GET /ready`: 200 when the models are loaded, else 503."},
  };
  std::string text;
  for (const auto& [question, answer] : kTurns)
    text += std::string("<|im_start|>user\n") + question + "<|im_end|>\n<|im_start|>assistant\n" +
            answer + "<|im_end|>\n";
  const auto ids = (*tokenizer)->encode(text, {}).ids;
  ASSERT_GE(ids.size(), 256u);
  const auto want = choices(DType::kF32, DType::kF32, ids);
  const struct {
    const char* name;
    DType compute, kv;
    double agreement_min;
  } kTypes[] = {{"bf16", DType::kBf16, DType::kBf16, 0.99},
                {"bf16, int8 cache", DType::kBf16, DType::kI8, 0.99},
                {"int8", DType::kI8, DType::kBf16, 0.98},
                {"int4", DType::kI4, DType::kBf16, 0.95}};
  for (const auto& type : kTypes) {
    const auto got = choices(type.compute, type.kv, ids);
    size_t same = 0;
    for (size_t i = 0; i < ids.size(); ++i) same += got[i] == want[i];
    const double agreement = static_cast<double>(same) / static_cast<double>(ids.size());
    std::printf("  %s: %zu of %zu tokens, %.3f\n", type.name, same, ids.size(), agreement);
    EXPECT_GE(agreement, type.agreement_min) << type.name;
  }
}

}  // namespace
}  // namespace sis
