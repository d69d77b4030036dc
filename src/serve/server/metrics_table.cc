#include "serve/server/metrics_table.h"

#include <map>
#include <utility>

namespace sis::server {
namespace {

using telemetry::Counter;
using telemetry::Family;
using telemetry::Gauge;
using telemetry::Histogram;
using telemetry::Registry;

const std::vector<double> kLatencySeconds = {.01, .05, .1, .25, .5, 1, 2.5, 5, 10};
const std::vector<double> kQueueWaitSeconds = {.001, .005, .01, .025, .05, .1, .25, .5, 1};
const std::vector<double> kBatchWaitSeconds = {.001, .005, .01, .025, .05, .1, .25, .5, 1, 2};
const std::vector<double> kBatchTexts = {1, 2, 4, 6, 8, 12, 16, 24, 32, 64, 128};
const std::vector<double> kBatchTokens = {16, 64, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768};
const std::vector<double> kDurationMs = {1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000};
constexpr uint32_t kRecentSamples = 10000;

}  // namespace

StatusCounters::StatusCounters(Family<Counter>& family, std::string model)
    : family_(&family), model_(std::move(model)) {
  at(200);  // there from the start; the others appear when they first happen
}

Counter& StatusCounters::at(int status) {
  for (size_t i = 0; i < kStatuses.size(); ++i) {
    if (kStatuses[i] != status) continue;
    Counter* counter = counters_[i].load(std::memory_order_acquire);
    if (!counter) {
      counter = &family_->with({model_, std::to_string(status)});
      counters_[i].store(counter, std::memory_order_release);
    }
    return *counter;
  }
  return family_->with({model_, std::to_string(status)});
}

struct ServerMetrics::Families {
  explicit Families(Registry& r)
      : requests(r.counters("embedding_requests_total", "Finished embedding requests.",
                            {"model", "status"})),
        latency(r.histograms("embedding_request_latency_seconds",
                             "Time of successful embedding requests.", {"model"}, kLatencySeconds)),
        queue_wait(r.histograms("embedding_request_queue_wait_seconds",
                                "Wait of embedding work for its slot.", {"model"},
                                kQueueWaitSeconds)),
        batch_wait(r.histograms("embedding_batch_wait_seconds",
                                "Wait in the batch queue until dispatch.", {"model"},
                                kBatchWaitSeconds)),
        hits(r.counters("embedding_cache_hits_total", "Texts found in the vector cache.",
                        {"model"})),
        misses(r.counters("embedding_cache_misses_total", "Texts not found in the vector cache.",
                          {"model"})),
        batch_texts(r.histograms("embedding_batch_size", "Texts per device batch.", {"model"},
                                 kBatchTexts)),
        batch_tokens(r.histograms("embedding_batch_tokens", "Tokens per device batch.", {"model"},
                                  kBatchTokens)),
        queue_size(r.gauges("embedding_batch_queue_size", "Requests waiting in the batch queue.",
                            {"model"})),
        tokens(r.counters("embedding_tokens_total", "Tokens run through the model.", {"model"})) {}

  Family<Counter>& requests;
  Family<Histogram>&latency, &queue_wait, &batch_wait;
  Family<Counter>&hits, &misses;
  Family<Histogram>&batch_texts, &batch_tokens;
  Family<Gauge>& queue_size;
  Family<Counter>& tokens;
  std::mutex mutex;
  std::map<std::string, std::unique_ptr<EmbeddingMetrics>> embedding;
};

ServerMetrics::ServerMetrics(Registry& r)
    : embedding_queue_rejections(r.counter("embedding_queue_rejections_total",
                                           "Requests of local models refused by a full limiter.")),
      requests(r.counter("inference_requests_total", "Finished inference requests of any route.")),
      duration_ms_histogram(r.histogram("inference_request_duration_ms",
                                        "Time of inference requests in milliseconds.",
                                        kDurationMs)),
      errors_5xx(r.counter("inference_errors_5xx_total", "Inference requests answered 5xx.")),
      errors_4xx(r.counter("inference_errors_4xx_total", "Inference requests answered 4xx.")),
      cache_hits(
          r.counter("inference_cache_hits_total", "Requests answered from the response cache.")),
      cache_misses(
          r.counter("inference_cache_misses_total", "Requests not in the response cache.")),
      queue_depth(r.gauge("inference_queue_depth", "Requests waiting for the device.")),
      active_batches(r.gauge("inference_active_batches", "Batches on the device now.")),
      active_connections(r.gauge("inference_active_connections", "Open client connections.")),
      batch_size(r.histogram("inference_batch_size", "Requests per batch.", kDurationMs)),
      tokens_per_second(
          r.gauge("inference_tokens_per_second", "Generated tokens per second, last window.")),
      rate_limit_hits(r.counter("rate_limit_hits_total", "Requests refused by the rate limit.")),
      circuit_breaker_open(
          r.counter("circuit_breaker_open_total", "Times a circuit breaker opened.")),
      families_(std::make_unique<Families>(r)),
      recent_ms_(std::make_shared<telemetry::RecentQuantiles>(kRecentSamples)) {
  const std::pair<const char*, double> quantiles[] = {{"p50", .5}, {"p95", .95}, {"p99", .99}};
  for (const auto& [name, fraction] : quantiles)
    callbacks_.push_back(r.gauge_callback(
        std::string("inference_request_duration_ms_") + name,
        "Quantile of inference_request_duration_ms over the last 10000 requests.", {},
        [recent = recent_ms_, fraction = fraction] {
          return std::vector<telemetry::Sample>{{{}, recent->quantiles({fraction})[0]}};
        }));
  // These two families exist from the start and stay at 0: the label they would warn about is never
  // missing here.
  (void)r.counter("queue_generic_label_warn_total", "Queue events without a capability label.");
  (void)r.counter("audio_queue_generic_label_warn_total", "Audio queue events without a label.");
}

ServerMetrics::~ServerMetrics() = default;

EmbeddingMetrics& ServerMetrics::embedding(const std::string& model) {
  Families& f = *families_;
  const std::lock_guard lock(f.mutex);
  // As bounded as the families below: names come from the catalog, anything else is "unknown".
  auto& slot = f.embedding[model];
  if (!slot)
    slot.reset(new EmbeddingMetrics{
        .requests = StatusCounters(f.requests, model),
        .latency_seconds = f.latency.with({model}),
        .queue_wait_seconds = f.queue_wait.with({model}),
        .batch_wait_seconds = f.batch_wait.with({model}),
        .cache_hits = f.hits.with({model}),
        .cache_misses = f.misses.with({model}),
        .batch_texts = f.batch_texts.with({model}),
        .batch_tokens = f.batch_tokens.with({model}),
        .batch_queue_size = f.queue_size.with({model}),
        .tokens = f.tokens.with({model}),
    });
  return *slot;
}

}  // namespace sis::server
