// Who writes an answer, and what becomes of a request that nobody holds any more.
#include "serve/api/embed_job.h"

#include <gtest/gtest.h>

#include <future>
#include <string>
#include <thread>
#include <vector>

#include "serve/api/errors.h"

namespace sis::api {
namespace {

using tasks::EmbedAnswer;
using tasks::Embedded;

class FakeExchange final : public net::Exchange {
 public:
  net::HttpRequest& request() override { return asked_; }
  void respond(net::HttpResponse response) override {
    status = response.status;
    answered.set_value();
  }
  void start_stream(net::HttpResponse) override {}
  bool write(std::string_view) override { return false; }
  void finish_stream() override {}
  void on_cancel(std::function<void()> callback) override { callback_ = std::move(callback); }
  bool cancelled() const override { return false; }
  void run_on_loop(std::function<void()> call) override { call(); }

  std::promise<void> answered;
  int status = 0;

 private:
  net::HttpRequest asked_;
  std::function<void()> callback_;  // kept until the end, as an unanswered exchange does
};

struct Silent final : RequestObserver, admission::GateObserver {
  void on_request(int, Duration, Duration) override {}
  void on_refused(Refusal, const admission::Lane*) override {}
};

struct Job final : EmbedJob {
  using EmbedJob::EmbedJob;
  net::HttpResponse error(const Error& error, Duration fallback) const override {
    return error_response(error, fallback);
  }
  Result<net::HttpResponse> write(const EmbedAnswer&) override {
    written_by = std::this_thread::get_id();
    return net::HttpResponse{};
  }
  std::thread::id written_by;
};

struct Place {
  std::shared_ptr<Job> job() {
    exchange = std::make_shared<FakeExchange>();
    return std::make_shared<Job>(exchange, gate, prep, log, "test", silent);
  }

  SteadyClock clock;
  Silent silent;
  telemetry::Logger log;
  admission::Gate gate{{.capability = "embedding"}, clock, silent};
  std::shared_ptr<FakeExchange> exchange;
  TaskPool prep{"test-prep", 1, 1};
};

EmbedAnswer vectors(size_t count, size_t dimensions) {
  EmbedAnswer answer;
  for (size_t i = 0; i < count; ++i)
    answer.items.push_back(
        std::make_shared<const Embedded>(Embedded{std::vector<float>(dimensions), 3}));
  return answer;
}

TEST(EmbedJob, LargeCachedAnswersAreWrittenOnThePool) {
  Place place;
  const auto here = std::this_thread::get_id();
  auto job = place.job();
  job->answer(vectors(2, 1024));
  EXPECT_EQ(place.exchange->status, 200);
  EXPECT_EQ(job->written_by, here);

  job = place.job();
  job->answer(vectors(32, 384));
  place.exchange->answered.get_future().wait();
  EXPECT_EQ(place.exchange->status, 200);
  EXPECT_NE(job->written_by, here);

  // Computed vectors come on the pool already.
  job = place.job();
  auto computed = vectors(32, 384);
  computed.compute = from_ms(1);
  job->answer(std::move(computed));
  EXPECT_EQ(job->written_by, here);
}

TEST(EmbedJob, AFullPoolIsAnAnswer) {
  std::promise<void> busy, go_on;  // outlive the pool's thread
  Place place;
  place.prep.post_always([&] {
    busy.set_value();
    go_on.get_future().wait();
  });
  busy.get_future().wait();
  place.prep.post_always([] {});
  place.job()->answer(vectors(32, 384));
  EXPECT_EQ(place.exchange->status, 429);
  go_on.set_value();
}

}  // namespace
}  // namespace sis::api
