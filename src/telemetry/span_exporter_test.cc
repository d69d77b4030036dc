#include "telemetry/span_exporter.h"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <nlohmann/json.hpp>

namespace sis::telemetry {
namespace {

using nlohmann::json;

// Answers as told, remembers what it was given, and can be held up.
struct Collector {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::string> bodies;
  std::vector<SpanTransport::Answer> answers;  // in turn; then all is well
  bool blocked = false;

  bool got(size_t count) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, std::chrono::seconds(20), [&] { return bodies.size() >= count; });
  }
  void block(bool on) {
    const std::lock_guard lock(mutex);
    blocked = on;
    changed.notify_all();
  }
};

class FakeTransport final : public SpanTransport {
 public:
  explicit FakeTransport(std::shared_ptr<Collector> collector) : collector_(std::move(collector)) {}
  Answer send(const std::string& body, Duration) override {
    Collector& c = *collector_;
    std::unique_lock lock(c.mutex);
    c.bodies.push_back(body);
    c.changed.notify_all();
    c.changed.wait(lock, [&] { return !c.blocked; });
    if (c.answers.empty()) return {};
    auto answer = c.answers.front();
    c.answers.erase(c.answers.begin());
    return answer;
  }

 private:
  const std::shared_ptr<Collector> collector_;
};

struct Exporting {
  explicit Exporting(SpanExportOptions options = quick()) {
    exporter = std::make_unique<SpanExporter>(options, Resource{},
                                              std::make_unique<FakeTransport>(collector), Logger());
  }
  static SpanExportOptions quick() {
    return {.batches = {.queue_spans_max = 100,
                        .batch_spans_max = 10,
                        .flush_every = from_ms(20),
                        .backoff_min = from_ms(1),
                        .backoff_max = from_ms(2)},
            .flush_budget = from_ms(500)};
  }
  bool offer(const std::string& name) {
    Span span{.trace_id = make_trace_id(), .span_id = make_span_id(), .name = name};
    return exporter->offer({span});
  }
  // Names of the spans in one body.
  static std::vector<std::string> names(const std::string& body) {
    std::vector<std::string> out;
    const json request = json::parse(body);
    for (const auto& span : request["resourceSpans"][0]["scopeSpans"][0]["spans"])
      out.push_back(span["name"]);
    return out;
  }
  std::shared_ptr<Collector> collector = std::make_shared<Collector>();
  std::unique_ptr<SpanExporter> exporter;
};

using Names = std::vector<std::string>;

TEST(SpanExporter, SendsWhatGathered) {
  auto options = Exporting::quick();
  options.batches.flush_every = from_ms(500);  // for both to come in time
  Exporting e(options);
  EXPECT_TRUE(e.offer("a"));
  EXPECT_TRUE(e.offer("b"));
  ASSERT_TRUE(e.collector->got(1));
  EXPECT_EQ(Exporting::names(e.collector->bodies[0]), (Names{"a", "b"}));
}

// A portion that fails is sent again unchanged; the next one has its own text.
TEST(SpanExporter, TriesAgainWithTheSameSpans) {
  Exporting e;
  e.collector->answers = {{ExportOutcome::kRetry, 0, "no"}, {ExportOutcome::kRetry, 0, "no"}};
  e.offer("a");
  ASSERT_TRUE(e.collector->got(3));
  e.offer("b");
  ASSERT_TRUE(e.collector->got(4));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Exporting::names(e.collector->bodies[i]), Names{"a"}) << i;
  EXPECT_EQ(Exporting::names(e.collector->bodies[3]), Names{"b"});
  EXPECT_EQ(e.exporter->counts().retries, 2u);
}

TEST(SpanExporter, AStuckCollectorCostsSpansNotTime) {
  Exporting e;
  e.collector->block(true);
  e.offer("first");
  ASSERT_TRUE(e.collector->got(1));
  const auto begin = std::chrono::steady_clock::now();
  int kept = 0;
  for (int i = 0; i < 1000; ++i) kept += e.offer("x");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, from_seconds(2));
  EXPECT_EQ(kept, 100);
  EXPECT_EQ(e.exporter->counts().queue_full, 900u);
  e.collector->block(false);
}

TEST(SpanExporter, TheDestructorFlushes) {
  auto options = Exporting::quick();
  options.batches.flush_every = from_seconds(1000);
  options.flush_budget = from_seconds(20);
  Exporting e(options);
  e.offer("a");
  e.exporter.reset();
  ASSERT_EQ(e.collector->bodies.size(), 1u);
  EXPECT_EQ(Exporting::names(e.collector->bodies[0]), Names{"a"});
}

TEST(SpanExporter, TheDestructorKeepsItsBudget) {
  Exporting e;
  e.collector->block(true);
  e.offer("a");
  ASSERT_TRUE(e.collector->got(1));
  e.offer("b");
  const auto begin = std::chrono::steady_clock::now();
  e.exporter.reset();
  const auto spent = std::chrono::steady_clock::now() - begin;
  EXPECT_GE(spent, from_ms(500));
  EXPECT_LT(spent, from_seconds(10));
  e.collector->block(false);  // its thread ends by itself
}

}  // namespace
}  // namespace sis::telemetry
