// In steady state the generator allocates nothing: counted on its own thread, between the 500th and
// the 4,000th answer. A program of its own, because it replaces operator new.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "base/strings.h"
#include "net/http_client_test_server.h"
#include "perf/load/embeddings.h"
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

  mutable uint64_t at_first = 0, at_last = 0;

 private:
  class Watcher final : public Judge {
   public:
    Watcher(std::unique_ptr<Judge> inner, const WatchedWorkload& owner)
        : inner_(std::move(inner)), owner_(owner) {}
    Judgement judge(uint64_t index, const Answer& answer) override {
      ++answers_;
      if (answers_ == 500) owner_.at_first = t_allocations;
      if (answers_ == 4000) owner_.at_last = t_allocations;
      return inner_->judge(index, answer);
    }

   private:
    std::unique_ptr<Judge> inner_;
    const WatchedWorkload& owner_;
    int answers_ = 0;
  };
  const Workload& inner_;
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

}  // namespace
}  // namespace sis::perf
