// In steady state the generator allocates nothing: counted on its own thread, between the 500th and
// the 4,000th answer. A program of its own, because it replaces operator new.
#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <new>

#include "base/strings.h"
#include "net/http_client_test_server.h"
#include "perf/load/chat.h"
#include "perf/load/chat_test_events.h"
#include "perf/load/embeddings.h"
#include "perf/load/infer.h"
#include "perf/load/kserve.h"
#include "perf/load/mix.h"
#include "perf/load/plain_http.h"
#include "perf/load/rerank.h"
#include "perf/load/run.h"

namespace {
thread_local uint64_t t_allocations = 0;
}  // namespace

void* operator new(size_t bytes) {
  ++t_allocations;
  if (void* memory = std::malloc(bytes == 0 ? 1 : bytes)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace sis::perf {
namespace {

// Hands everything on and notes the loop thread's allocations at two answers.
class WatchedWorkload final : public Workload {
 public:
  explicit WatchedWorkload(const Workload& inner) : inner_(inner) {}
  std::string_view request(uint64_t index, std::string& scratch) const override {
    return inner_.request(index, scratch);
  }
  std::unique_ptr<Judge> make_judge() const override {
    return std::make_unique<Watcher>(inner_.make_judge(), *this);
  }
  size_t parts() const override { return inner_.parts(); }
  size_t part_of(uint64_t index) const override { return inner_.part_of(index); }
  std::string part_name(size_t part) const override { return inner_.part_name(part); }

  mutable uint64_t at_first = 0, at_last = 0;

 private:
  void count() const {
    ++answers_;
    if (answers_ == 500) at_first = t_allocations;
    if (answers_ == 4000) at_last = t_allocations;
  }

  class StreamWatcher final : public StreamJudge {
   public:
    StreamWatcher(std::unique_ptr<StreamJudge> inner, const WatchedWorkload& owner)
        : inner_(std::move(inner)), owner_(owner) {}
    void begin() override { inner_->begin(); }
    void begin_for(uint64_t index) override { inner_->begin_for(index); }
    bool wanted() const override { return inner_->wanted(); }
    void take(std::string_view body, TimePoint now) override { inner_->take(body, now); }
    const std::string& failure() const override { return inner_->failure(); }
    Judgement end(uint64_t index) override {
      owner_.count();
      return inner_->end(index);
    }

   private:
    std::unique_ptr<StreamJudge> inner_;
    const WatchedWorkload& owner_;
  };

  class Watcher final : public Judge {
   public:
    Watcher(std::unique_ptr<Judge> inner, const WatchedWorkload& owner)
        : inner_(std::move(inner)), owner_(owner) {}
    Judgement judge(uint64_t index, const Answer& answer) override {
      owner_.count();
      return inner_->judge(index, answer);
    }
    std::unique_ptr<StreamJudge> make_stream() override {
      auto stream = inner_->make_stream();
      if (!stream) return nullptr;
      return std::make_unique<StreamWatcher>(std::move(stream), owner_);
    }

   private:
    std::unique_ptr<Judge> inner_;
    const WatchedWorkload& owner_;
  };

  const Workload& inner_;
  mutable int answers_ = 0;  // one event loop: one thread
};

TEST(Allocations, NoneBetweenGoodAnswers) {
  // Every third answer comes in two pieces, every fourth chunked.
  net::ScriptedServer server([](net::ScriptedServer::Peer& peer) {
    const std::string body =
        R"({"data":[{"index":0,"embedding":[0.25,-0.5]}],"usage":{"prompt_tokens":8}})";
    const std::string plain = net::plain_answer(body);
    const std::string chunked =
        fmt::format("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{}\r\n0\r\n\r\n",
                    body.size(), body);
    for (int i = 0; !peer.read_request().empty(); ++i) {
      if (i % 3 == 0)
        peer.send_slowly(plain, plain.size() - 20, std::chrono::microseconds(1));
      else
        peer.send(i % 4 == 0 ? chunked : plain);
    }
  });
  EmbeddingsOptions options{
      .url = *net::parse_url(server.url()), .model = "m", .distinct = true, .check_every = 5};
  const auto embeddings = EmbeddingsWorkload::create(options);
  const WatchedWorkload watched(**embeddings);
  const auto result =
      run_load({.url = options.url, .connections = 8, .requests = 4500}, watched, nullptr, nullptr);
  ASSERT_TRUE(result.ok()) << result.error().message;
  ASSERT_EQ(result->tally.ok, 4500u)
      << (result->tally.errors.empty() ? "" : result->tally.errors[0].message);
  EXPECT_GT(watched.at_first, 0u);
  // The timeline grows by one entry per second, which reallocates now and then.
  EXPECT_LE(watched.at_last - watched.at_first, 10u);
}

// Streams of ten pieces, some cut in two inside an event.
TEST(Allocations, NoneBetweenGoodStreams) {
  net::ScriptedServer server([](net::ScriptedServer::Peer& peer) {
    const std::string answer =
        concat(kStreamHead, http_chunk(good_stream("chatcmpl-0123456789abcdef0123456789", 10)),
               http_chunk(""));
    for (int i = 0; !peer.read_request().empty(); ++i) {
      if (i % 3 == 0)
        peer.send_slowly(answer, answer.size() / 2, std::chrono::microseconds(1));
      else
        peer.send(answer);
    }
  });
  const auto url = *net::parse_url(server.url());
  const auto chat = ChatWorkload::create({.url = url, .model = "m", .distinct = true});
  const WatchedWorkload watched(**chat);
  const auto result =
      run_load({.url = url, .connections = 8, .requests = 4500}, watched, nullptr, nullptr);
  ASSERT_TRUE(result.ok()) << result.error().message;
  ASSERT_EQ(result->tally.ok, 4500u)
      << (result->tally.errors.empty() ? "" : result->tally.errors[0].message);
  EXPECT_EQ(result->tally.generation.itl.count(), 4500u * 9);
  EXPECT_GT(watched.at_first, 0u);
  // The timeline grows by one entry per second, and buffers once to the longest part of an event.
  EXPECT_LE(watched.at_last - watched.at_first, 20u);
}

// Answers of two parts, one streamed and one not, with think times and windows of 10 ms: what is
// booked belongs to the tallies, a few for each loop, not to requests or windows.
TEST(Allocations, NoneBetweenRequestsOfAMixWithThinkTimesAndWindows) {
  const std::string stream =
      concat(kStreamHead, http_chunk(good_stream("chatcmpl-0123456789abcdef0123456789", 10)),
             http_chunk(""));
  const std::string vectors = net::plain_answer(
      R"({"data":[{"index":0,"embedding":[0.25,-0.5]}],"usage":{"prompt_tokens":8}})");
  net::ScriptedServer server([&](net::ScriptedServer::Peer& peer) {
    for (std::string request; !(request = peer.read_request()).empty();)
      peer.send(request.find("/embeddings ") != std::string::npos ? vectors : stream);
  });
  const auto url = *net::parse_url(server.url());
  std::vector<MixPart> parts;
  parts.push_back({.name = "chat", .weight = 1});
  parts.back().workload = std::move(*ChatWorkload::create({.url = url, .model = "m"}));
  parts.push_back({.name = "embeddings", .weight = 3});
  parts.back().workload = std::move(*EmbeddingsWorkload::create({.url = url, .model = "m"}));
  const auto mix = MixWorkload::create(std::move(parts));
  ASSERT_TRUE(mix.ok()) << mix.error().message;
  const WatchedWorkload watched(**mix);
  RunOptions options{.url = url, .connections = 8, .requests = 4500};
  options.think_min = options.think_max = std::chrono::microseconds(100);
  options.window = std::chrono::milliseconds(10);
  int windows = 0;
  options.on_window = [&](const Window&) { return ++windows > 0; };
  const auto result = run_load(options, watched, nullptr, nullptr);
  ASSERT_TRUE(result.ok()) << result.error().message;
  ASSERT_EQ(result->tally.ok, 4500u)
      << (result->tally.errors.empty() ? "" : result->tally.errors[0].message);
  EXPECT_EQ(result->parts[0].ok, 1125u);
  EXPECT_GE(windows, 3);
  EXPECT_GT(watched.at_first, 0u);
  // Three tallies of at most 14 histograms, in as many sets as are on their way to the runner: few,
  // and 40 where it was held up for 400 ms. One for each request would be 3,500.
  EXPECT_LE(watched.at_last - watched.at_first, 1700u);
}

// Serves `body` to everything; the workload must neither fail nor allocate.
void expect_none(const std::string& body,
                 const std::function<std::unique_ptr<Workload>(const net::Url&)>& make) {
  const std::string answer = net::plain_answer(body);
  net::ScriptedServer server([&](net::ScriptedServer::Peer& peer) {
    while (!peer.read_request().empty()) peer.send(answer);
  });
  const auto url = *net::parse_url(server.url());
  const auto workload = make(url);
  ASSERT_NE(workload, nullptr);
  const WatchedWorkload watched(*workload);
  const auto result =
      run_load({.url = url, .connections = 8, .requests = 4500}, watched, nullptr, nullptr);
  ASSERT_TRUE(result.ok()) << result.error().message;
  ASSERT_EQ(result->tally.ok, 4500u)
      << (result->tally.errors.empty() ? "" : result->tally.errors[0].message);
  EXPECT_GT(watched.at_first, 0u);
  EXPECT_LE(watched.at_last - watched.at_first, 20u);
}

template <class Made>
std::unique_ptr<Workload> made(Result<std::unique_ptr<Made>> workload) {
  EXPECT_TRUE(workload.ok()) << workload.error().message;
  return workload.ok() ? std::move(*workload) : nullptr;
}

TEST(Allocations, NoneWithPlacesAndChecks) {
  expect_none(R"({"status":"ok","items":[1,2]})", [](const net::Url& url) {
    PlainHttpOptions options{.url = url, .templates = true};
    options.request = {.method = "POST",
                       .target = "/{{index}}?q={{words 3}}",
                       .headers = {{"X-Id", "{{uuid}}"}},
                       .body = R"({"n":{{random 1 1000000}},"w":"{{words 8}}"})"};
    EXPECT_TRUE(options.checks.add_json("items[1]=2").ok());
    EXPECT_TRUE(options.checks.add_text("status").ok());
    return made(PlainHttpWorkload::create(options));
  });
}

TEST(Allocations, NoneForRanksInfersAndTensors) {
  expect_none(R"({"results":[{"index":1,"relevance_score":2.5},{"index":0,"relevance_score":-1}]})",
              [](const net::Url& url) {
                return made(RerankWorkload::create({.url = url,
                                                    .model = "m",
                                                    .queries = {.text = "q"},
                                                    .documents = {.text = "d"},
                                                    .documents_per_request = 2,
                                                    .distinct = true}));
              });
  expect_none(R"({"id":"x","model":"m","output":"text","cached":true})", [](const net::Url& url) {
    return made(InferWorkload::create(
        {.url = url, .model = "m", .prompts = {.text = "p"}, .distinct = true}));
  });
  expect_none(R"({"outputs":[{"name":"Y","datatype":"FP32","shape":[2],"data":[1,2]}]})",
              [](const net::Url& url) {
                KServeOptions options{.url = url, .model = "m"};
                options.metadata.inputs = {{.name = "X", .shape = {2}}};
                options.metadata.outputs = {{.name = "Y", .shape = {-1}}};
                return made(KServeWorkload::create(options));
              });
}

}  // namespace
}  // namespace sis::perf
