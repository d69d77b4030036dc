#include "serve/tasks/embed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <future>
#include <latch>
#include <mutex>
#include <new>
#include <numeric>
#include <thread>
#include <utility>

#include "serve/tasks/tokenizer_probe.h"

namespace sis::tasks {
namespace {

constexpr int32_t kVocab = 100, kTokensMax = 16;

// One token a word: [CLS] w.. [SEP]; unknown words are 1.
constexpr const char* kTokenizer = R"({"version":"1.0","truncation":null,"padding":null,
 "added_tokens":[{"id":0,"content":"[CLS]","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true},
                 {"id":2,"content":"[SEP]","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}],
 "normalizer":{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"lowercase":true},
 "pre_tokenizer":{"type":"BertPreTokenizer"},
 "post_processor":{"type":"BertProcessing","sep":["[SEP]",2],"cls":["[CLS]",0]},
 "decoder":{"type":"WordPiece","prefix":"##","cleanup":true},
 "model":{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##","max_input_chars_per_word":100,
          "vocab":{"[CLS]":0,"[UNK]":1,"[SEP]":2,"a":3,"b":4,"c":5,"d":6,"e":7,"f":8}}})";

// Stands at the place of a model family, so that a test can count device calls and hold one: a
// token's state is its id in every column. Everything around it (tokenizer, head, executor,
// service) is the real thing.
class CountingEncoder final : public nn::Encoder {
 public:
  CountingEncoder() {
    info_.hidden = 8;
    info_.vocab = kVocab;
    info_.types = 2;
    info_.tokens_max = kTokensMax;
  }
  const nn::EncoderInfo& info() const override { return info_; }
  void forward(ops::Context&, const nn::RaggedBatch& batch, Mat<float> states) const override {
    ++calls;
    sequences += static_cast<int>(batch.sequences());
    std::unique_lock lock(mutex);
    open_changed.wait(lock, [this] { return open; });
    if (broken) {
      usable = false;
      throw std::bad_alloc();
    }
    for (int64_t t = 0; t < batch.tokens(); ++t) {
      for (int64_t c = 0; c < states.cols; ++c) states.at(t, c) = static_cast<float>(batch.ids[t]);
      // The second column counts second texts.
      states.at(t, 1) = batch.types.empty() ? 0.0f : static_cast<float>(batch.types[t]);
    }
  }
  void hold() {
    std::lock_guard lock(mutex);
    open = false;
  }
  void release() {
    {
      std::lock_guard lock(mutex);
      open = true;
    }
    open_changed.notify_all();
  }
  bool ready() const override { return usable; }
  mutable std::atomic<int> calls{0}, sequences{0};
  std::atomic<bool> broken{false};
  mutable std::atomic<bool> usable{true};

 private:
  nn::EncoderInfo info_;
  mutable std::mutex mutex;
  mutable std::condition_variable open_changed;
  bool open = true;
};

struct Counts final : EmbedObserver {
  void on_lookup(int h, int m) override {
    hits += h;
    misses += m;
    if (when_looked_up) std::exchange(when_looked_up, nullptr)();
  }
  void on_batch(int, int, std::span<const Duration>, Duration) override { ++batches; }
  void on_failure(const std::string& what) override {
    const std::lock_guard lock(mutex);
    failures.push_back(what);
  }
  std::vector<std::string> heard() const {
    const std::lock_guard lock(mutex);
    return failures;
  }
  std::atomic<int> hits{0}, misses{0}, batches{0};
  std::function<void()> when_looked_up;  // once, inside submit()
  mutable std::mutex mutex;
  std::vector<std::string> failures;
};

class EmbedTest : public testing::Test {
 protected:
  void start(EmbedOptions options) { start(options, executor_, prep_); }
  void start(EmbedOptions options, engine::DeviceExecutor& executor, TaskPool& prep) {
    EmbedModel model;
    model.name = "m";
    auto tokenizer = text::Tokenizer::from_json(kTokenizer);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
    auto probe = std::make_unique<TokenizerProbe>(std::move(*tokenizer), "boom");
    tokenizer_ = probe.get();
    model.tokenizer = std::move(probe);
    auto encoder = std::make_unique<CountingEncoder>();
    encoder_ = encoder.get();
    model.encoder = std::move(encoder);
    nn::HeadConfig head;
    head.pooling = ops::Pooling::kMean;
    head.normalise = false;
    ThreadTeam team({.workers = 1});
    auto loaded = nn::EmbeddingHead::load(head, 8, Isa::kRef, team);
    ASSERT_TRUE(loaded.ok());
    model.head = std::move(*loaded);
    model.tokens_max = kTokensMax;
    service_ =
        std::make_unique<EmbedService>(std::move(model), options, executor, prep, clock_, counts_);
  }
  void TearDown() override {
    if (service_) encoder_->release();  // it goes with the service
    service_.reset();
  }

  static EmbedRequest texts(std::vector<std::string> inputs) {
    EmbedRequest request;
    for (auto& input : inputs) request.inputs.push_back({.text = std::move(input)});
    return request;
  }

  bool is_cached(std::vector<std::string> inputs) {
    auto request = texts(std::move(inputs));
    return service_->is_cached(request);
  }

  struct Call {
    std::future<Result<EmbedAnswer>> answer;
    std::unique_ptr<EmbedService::Ticket> ticket;
    Result<EmbedAnswer> get() {
      // Far above any wait in these tests: a request that is never answered fails instead of
      // hanging.
      if (answer.wait_for(std::chrono::seconds(20)) != std::future_status::ready)
        return Error{Code::kInternal, "no answer"};
      return answer.get();
    }
    // Answered, or (a cancelled one) dropped together with its promise.
    bool ready() const {
      return answer.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
    }
  };
  Call submit(EmbedRequest request) {
    auto promise = std::make_shared<std::promise<Result<EmbedAnswer>>>();
    Call call{promise->get_future(), nullptr};
    call.ticket = service_->submit(std::move(request), [promise](Result<EmbedAnswer> result) {
      promise->set_value(std::move(result));
    });
    return call;
  }
  // The device holds a batch of one text `blocker`; everything after it queues up.
  Call hold_device(const std::string& blocker) {
    encoder_->hold();
    const int before = encoder_->calls;
    Call call = submit(texts({blocker}));
    while (encoder_->calls == before) std::this_thread::yield();
    return call;
  }
  void wait_queued(int64_t requests) {
    while (service_->requests_queued() != requests) std::this_thread::yield();
  }

  SteadyClock clock_;
  engine::DeviceExecutor executor_{{.threads = 1}, clock_};
  TaskPool prep_{"prep", 1, 1000};
  Counts counts_;
  CountingEncoder* encoder_ = nullptr;
  TokenizerProbe* tokenizer_ = nullptr;
  std::unique_ptr<EmbedService> service_;
};

TEST_F(EmbedTest, AnswersInInputOrderWithTokenCounts) {
  start({});
  auto answer = submit(texts({"b", "a a", "zzz"})).get();
  ASSERT_TRUE(answer.ok()) << answer.error().message;
  ASSERT_EQ(answer->items.size(), 3u);
  EXPECT_FLOAT_EQ(answer->items[0]->vector[0], (0 + 4 + 2) / 3.0f);
  EXPECT_FLOAT_EQ(answer->items[1]->vector[0], (0 + 3 + 3 + 2) / 4.0f);
  EXPECT_FLOAT_EQ(answer->items[2]->vector[7], (0 + 1 + 2) / 3.0f);
  EXPECT_EQ(answer->tokens, 10);
  EXPECT_EQ(counts_.misses, 3);
}

// A pair is not its texts joined, is cut in its second text first, and brings its token types.
TEST_F(EmbedTest, PairsAreEncodedAsPairs) {
  start({});
  const auto pair = [](std::string first, std::string second) {
    EmbedRequest request;
    request.inputs.push_back({.text = std::move(first), .pair = std::move(second)});
    return request;
  };
  auto answer = submit(pair("a", "b c")).get();
  ASSERT_TRUE(answer.ok()) << answer.error().message;
  EXPECT_FLOAT_EQ(answer->items[0]->vector[0], (0 + 3 + 2 + 4 + 5 + 2) / 6.0f);
  EXPECT_FLOAT_EQ(answer->items[0]->vector[1], 3 / 6.0f);
  EXPECT_FLOAT_EQ(submit(pair("a b", "c")).get()->items[0]->vector[1], 2 / 6.0f);
  EXPECT_FLOAT_EQ(submit(texts({"a b c"})).get()->items[0]->vector[1], 0);
  EXPECT_EQ(submit(pair("a", "b c")).get()->cache_hits, 1);

  answer = submit(pair("a b", "c c c c c c c c c c c c c c c c c c c c")).get();
  EXPECT_EQ(answer->tokens, kTokensMax);
  EXPECT_FLOAT_EQ(answer->items[0]->vector[1], 12 / 16.0f) << "[CLS] a b [SEP], then the second";
  answer = submit(pair("a a a a a a a a a a a a a a a a a a a a", "c")).get();
  EXPECT_EQ(answer->tokens, kTokensMax);
  EXPECT_FLOAT_EQ(answer->items[0]->vector[1], 2 / 16.0f) << "a little of both is left";
}

// A step that fails costs those who are in it. Who waits is served when the model is usable again.
TEST_F(EmbedTest, AFailedStepCostsItsOwnTextsOnly) {
  start({});
  auto lost = hold_device("a");
  auto joined = submit(texts({"a"}));  // on its way already
  auto waits = submit(texts({"b", "c"}));
  wait_queued(1);
  encoder_->broken = true;
  encoder_->release();
  for (auto* call : {&lost, &joined}) {
    const auto answer = call->get();
    ASSERT_FALSE(answer.ok());
    EXPECT_EQ(answer.error().code, Code::kInternal);
  }
  EXPECT_EQ(counts_.heard(), std::vector<std::string>{"std::bad_alloc"});
  EXPECT_FALSE(waits.ready());
  EXPECT_EQ(service_->requests_queued(), 1);
  encoder_->broken = false;
  encoder_->usable = true;
  executor_.wake();
  EXPECT_TRUE(waits.get().ok());
  EXPECT_TRUE(submit(texts({"a"})).get().ok()) << "the lost text is not remembered as on its way";
  EXPECT_EQ(service_->requests_open(), 0);
}

// A text that nobody is going to prepare is no text to join: who joined it before the prep pool
// said no hears so as well, and who comes later brings it anew.
TEST_F(EmbedTest, JoinersOfARefusedTextAreRefused) {
  TaskPool full("full", 1, 0);
  start({}, executor_, full);
  Call joiner;
  counts_.when_looked_up = [&] { joiner = submit(texts({"a"})); };
  auto refused = submit(texts({"a", "b"}));
  for (auto* call : {&refused, &joiner}) {
    ASSERT_TRUE(call->ready());
    const auto answer = call->get();
    ASSERT_FALSE(answer.ok());
    EXPECT_EQ(answer.error().code, Code::kOverloaded);
  }
  EXPECT_EQ(service_->requests_open(), 0);
  EXPECT_EQ(service_->requests_queued(), 0);
  auto again = submit(texts({"a"}));
  EXPECT_TRUE(again.ready()) << "it joined what nobody prepares";
  service_.reset();
}

// What cannot be prepared fails those who wait for it and nobody else.
TEST_F(EmbedTest, AnExceptionWhilePreparingIsAnError) {
  start({});
  auto blocker = hold_device("f");
  const auto go_on = std::make_shared<std::latch>(1);
  prep_.post_always([go_on] { go_on->wait(); });
  auto broken = submit(texts({"boom", "a"})), joined = submit(texts({"a"}));
  auto companion = submit(texts({"b"}));
  go_on->count_down();
  for (auto* call : {&broken, &joined}) {
    const auto answer = call->get();
    ASSERT_FALSE(answer.ok());
    EXPECT_EQ(answer.error().code, Code::kInternal);
  }
  encoder_->release();
  EXPECT_TRUE(companion.get().ok());
  EXPECT_TRUE(blocker.get().ok());
  EXPECT_TRUE(submit(texts({"a"})).get().ok());
  EXPECT_EQ(counts_.heard(), std::vector<std::string>{"std::bad_alloc"});
  EXPECT_EQ(service_->requests_queued(), 0);
  EXPECT_EQ(service_->requests_open(), 0);
}

// Nobody tokenises what nobody waits for any more.
TEST_F(EmbedTest, CancelledTextsAreNotTokenised) {
  start({});
  const auto go_on = std::make_shared<std::latch>(1);
  prep_.post_always([go_on] { go_on->wait(); });
  auto leaves = submit(texts({"a", "b"})), stays = submit(texts({"b", "c"}));
  leaves.ticket.reset();
  go_on->count_down();
  ASSERT_TRUE(stays.get().ok());
  EXPECT_EQ(tokenizer_->encoded, 2);  // b, c
}

// Jobs that wait in the prep pool while the service and then the device go touch neither.
TEST_F(EmbedTest, PrepJobsOutliveTheService) {
  auto executor = std::make_unique<engine::DeviceExecutor>(
      engine::ExecutorOptions{.threads = 1, .isa = Isa::kRef}, clock_);
  start({}, *executor, prep_);
  const auto go_on = std::make_shared<std::latch>(1);
  prep_.post_always([go_on] { go_on->wait(); });
  auto waiting = submit(texts({"a"})), cancelled = submit(texts({"b"}));
  service_.reset();
  executor.reset();
  EXPECT_EQ(waiting.get().error().code, Code::kUnavailable);
  cancelled.ticket.reset();
  go_on->count_down();
  std::latch behind(1);
  prep_.post_always([&] { behind.count_down(); });
  behind.wait();
}

// Window of a second, two single-text requests 10 ms apart: exactly one model call.
TEST_F(EmbedTest, WindowMakesOneCall) {
  start({.queue = {.window = std::chrono::seconds(1)}});
  auto first = submit(texts({"a"}));
  std::this_thread::sleep_for(std::chrono::milliseconds(10));
  auto second = submit(texts({"b"}));
  EXPECT_TRUE(first.get().ok());
  EXPECT_TRUE(second.get().ok());
  EXPECT_EQ(encoder_->calls, 1);
}

TEST_F(EmbedTest, CachedRequestsAnswerInsideSubmit) {
  start({.cache_entries = 2});
  EXPECT_TRUE(submit(texts({"a"})).get().ok());
  auto again = submit(texts({"a", "a"}));
  EXPECT_TRUE(again.ready());
  EXPECT_EQ(again.ticket, nullptr);
  EXPECT_EQ(again.get()->cache_hits, 2);
  EXPECT_EQ(encoder_->calls, 1);
  // Least recently used goes first: b, c push a out.
  EXPECT_TRUE(submit(texts({"b", "c"})).get().ok());
  encoder_->hold();
  EXPECT_FALSE(submit(texts({"a"})).ready());
}

// A text repeated in one request is computed once, yet each counts as a miss.
TEST_F(EmbedTest, RepeatsInOneRequestAreComputedOnce) {
  start({});
  auto answer = submit(texts({"a", "a", "b"})).get();
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->items[0], answer->items[1]);
  EXPECT_EQ(encoder_->sequences, 2);
  EXPECT_EQ(counts_.misses, 3);
}

TEST_F(EmbedTest, IdenticalTextsInFlightAreJoined) {
  start({.cache_entries = 0});
  auto blocker = hold_device("f");
  auto one = submit(texts({"a"})), two = submit(texts({"a"})), three = submit(texts({"f"}));
  wait_queued(1);
  encoder_->release();
  EXPECT_TRUE(blocker.get().ok());
  EXPECT_EQ(one.get()->items[0], two.get()->items[0]);
  EXPECT_TRUE(three.get().ok());
  EXPECT_EQ(encoder_->sequences, 2);  // f, a
}

// A disconnect frees its own texts only; a companion that joined one of them still gets it.
TEST_F(EmbedTest, CancelIsIsolated) {
  start({});
  auto blocker = hold_device("f");
  auto leaves = submit(texts({"a", "b"})), stays = submit(texts({"b"}));
  wait_queued(1);
  leaves.ticket.reset();
  encoder_->release();
  ASSERT_TRUE(stays.get().ok());
  EXPECT_THROW(leaves.answer.get(), std::future_error);  // never answered: its promise is gone
  EXPECT_EQ(encoder_->sequences, 2);                     // f, b: a was never computed
  EXPECT_EQ(service_->requests_open(), 0);
}

TEST_F(EmbedTest, DeadlineAnswersWhileTheDeviceIsBusy) {
  start({.timeout = std::chrono::milliseconds(500)});
  auto blocker = hold_device("f");
  auto late = submit(texts({"a"}));
  std::this_thread::sleep_for(std::chrono::milliseconds(600));
  service_->sweep();
  auto result = late.get();
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, Code::kDeadline);
  EXPECT_FALSE(blocker.get().ok());
  encoder_->release();
  // The abandoned text is not computed, the abandoned batch is not an answer.
  EXPECT_TRUE(submit(texts({"b"})).get().ok());
  EXPECT_EQ(encoder_->sequences, 2);
}

// A request's own deadline ends it before the service's timeout; its companion stays.
TEST_F(EmbedTest, TheClientsDeadlineComesFirst) {
  start({});
  auto blocker = hold_device("f");
  auto hurried = texts({"a"});
  hurried.deadline = clock_.now() + std::chrono::milliseconds(200);
  auto late = submit(std::move(hurried));
  auto patient = submit(texts({"b"}));
  std::this_thread::sleep_for(std::chrono::milliseconds(250));
  service_->sweep();
  auto result = late.get();
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, Code::kDeadline);
  EXPECT_EQ(result.error().message, "no answer within the request's own time limit");
  encoder_->release();
  EXPECT_TRUE(patient.get().ok());
  EXPECT_EQ(encoder_->sequences, 2);  // f, b
}

// What a request brings to the device is told once: its new texts, nothing for joined ones.
TEST_F(EmbedTest, TellsItsWork) {
  start({});
  EXPECT_FALSE(is_cached({"f"}));
  EXPECT_FALSE(service_->is_computing());
  auto blocker = hold_device("f");
  EXPECT_TRUE(service_->is_computing());
  std::vector<int64_t> told;
  std::mutex mutex;
  const auto ask = [&](std::vector<std::string> inputs) {
    auto request = texts(std::move(inputs));
    request.on_tokens = [&](int64_t tokens) {
      const std::lock_guard lock(mutex);
      told.push_back(tokens);
    };
    return submit(std::move(request));
  };
  auto fresh = ask({"a a", "b"});
  wait_queued(1);
  auto joined = ask({"b", "a a"});
  encoder_->release();
  ASSERT_TRUE(fresh.get().ok());
  ASSERT_TRUE(joined.get().ok());
  ASSERT_TRUE(blocker.get().ok());
  EXPECT_FALSE(service_->is_computing());
  EXPECT_TRUE(is_cached({"f", "a a"}));
  EXPECT_FALSE(is_cached({"f", "c"}));
  auto cached = ask({"b"});
  EXPECT_TRUE(cached.get().ok());
  auto looked_up = texts({"b", "f"});  // its keys are made before it is submitted
  EXPECT_TRUE(service_->is_cached(looked_up));
  const auto answer = submit(std::move(looked_up)).get();
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->cache_hits, 2);
  const std::lock_guard lock(mutex);
  std::sort(told.begin(), told.end());            // who joins may be told first
  EXPECT_EQ(told, (std::vector<int64_t>{0, 7}));  // nothing is told of what was cached
}

// Queue of 1: one queued, one waits for room, the next is refused at once; the waiting one is
// refused after its time.
TEST_F(EmbedTest, QueueBoundsAndRoom) {
  start({.queue_requests_max = 1, .queue_room_timeout = std::chrono::milliseconds(300)});
  auto blocker = hold_device("f");
  auto queued = submit(texts({"a"}));
  wait_queued(1);
  auto waiting = submit(texts({"b"}));
  auto joiner = submit(texts({"b"}));  // brings nothing new: needs no room of its own
  auto refused = submit(texts({"c"}));
  ASSERT_TRUE(refused.ready());
  EXPECT_EQ(refused.get().error().code, Code::kOverloaded);
  std::this_thread::sleep_for(std::chrono::milliseconds(400));
  service_->sweep();
  auto result = waiting.get();
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, Code::kOverloaded);
  encoder_->release();
  EXPECT_TRUE(queued.get().ok());
  EXPECT_TRUE(joiner.get().ok());  // its text survives the request that brought it
}

TEST_F(EmbedTest, LongTextsAreCutOrRefused) {
  start({});
  std::string longer;
  for (int i = 0; i < 100; ++i) longer += "a ";
  auto cut = submit(texts({longer})).get();
  ASSERT_TRUE(cut.ok());
  EXPECT_EQ(cut->tokens, kTokensMax);
  auto strict = texts({"b", longer});
  strict.truncate = false;
  auto refused = submit(strict).get();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().reason, "context_length_exceeded");
  EXPECT_NE(refused.error().message.find("input[1] has 102 tokens"), std::string::npos)
      << refused.error().message;
  auto shorter = texts({longer});
  shorter.tokens_max = 5;
  EXPECT_EQ(submit(shorter).get()->tokens, 5);
}

// Ids are used as they are; the same ids as a text's give the same vector. A bad id fails its own
// request only.
TEST_F(EmbedTest, TokenIds) {
  start({});
  EmbedRequest ids;
  ids.inputs.push_back({.ids = {0, 3, 2}, .tokenised = true});
  EXPECT_EQ(submit(ids).get()->items[0]->vector, submit(texts({"a"})).get()->items[0]->vector);

  auto blocker = hold_device("f");
  EmbedRequest bad = texts({"b"});
  bad.inputs.push_back({.ids = {0, kVocab}, .tokenised = true});
  auto failing = submit(bad), companion = submit(texts({"b"}));
  encoder_->release();
  auto result = failing.get();
  ASSERT_FALSE(result.ok());
  EXPECT_NE(result.error().message.find("token id 100 is outside the vocabulary 0..99"),
            std::string::npos);
  EXPECT_TRUE(companion.get().ok());
}

TEST_F(EmbedTest, ClosingRefusesNewAndFinishesOld) {
  start({});
  auto blocker = hold_device("f");
  auto admitted = submit(texts({"a"}));
  service_->close();
  EXPECT_EQ(submit(texts({"b"})).get().error().code, Code::kUnavailable);
  encoder_->release();
  EXPECT_TRUE(admitted.get().ok());
}

// Many threads submit, cancel and let time out at once; every request ends and nothing stays
// behind.
TEST_F(EmbedTest, EverythingEndsUnderFire) {
  start({.queue = {.texts_max = 8},
         .queue_requests_max = 8,
         .queue_room_timeout = std::chrono::milliseconds(5),
         .timeout = std::chrono::milliseconds(200),
         .cache_entries = 4});
  std::atomic<int> answered{0};
  std::atomic<bool> stop{false};
  std::thread sweeper([&] {
    while (!stop) {
      service_->sweep();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  std::vector<std::thread> clients;
  for (int client = 0; client < 4; ++client)
    clients.emplace_back([&, client] {
      uint64_t seed = client;
      for (int i = 0; i < 300; ++i) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        std::vector<std::string> inputs;
        for (uint64_t k = 0; k < 1 + (seed >> 33) % 4; ++k) {
          std::string words;
          for (uint64_t w = 0; w < 1 + (seed >> (20 + k)) % 3; ++w)
            words += std::string(1, "abcdef"[(seed >> (40 + 2 * k + w)) % 6]) + " ";
          inputs.push_back(words);
        }
        auto call = submit(texts(inputs));
        if ((seed >> 60) % 4 == 0) {
          call.ticket.reset();
          continue;
        }
        if (call.get().ok()) ++answered;
      }
    });
  for (auto& client : clients) client.join();
  while (service_->requests_open() > 0 || service_->requests_queued() > 0)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  stop = true;
  sweeper.join();
  EXPECT_GT(answered, 0);
}

}  // namespace
}  // namespace sis::tasks
