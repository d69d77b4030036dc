#include "serve/server/metrics_table.h"

#include <algorithm>
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
const std::vector<double> kChatLatencySeconds = {.05, .1, .25, .5, 1, 2.5, 5, 10, 20};
const std::vector<double> kChatBatchSequences = {1, 2, 4, 6, 8, 12, 16, 24, 32};
const std::vector<double> kFirstTokenSeconds = {.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10};
const std::vector<double> kTokenGapSeconds = {.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1};
constexpr uint32_t kRecentSamples = 10000;

}  // namespace

StatusCounters::StatusCounters(Family<Counter>& family, std::vector<std::string> labels)
    : family_(&family), labels_(std::move(labels)) {}

StatusCounters::StatusCounters(Family<Counter>& family, const std::string& model)
    : StatusCounters(family, std::vector<std::string>{model}) {
  at(200);
}

StatusCounters::StatusCounters(StatusCounters&& other) noexcept
    : family_(other.family_), labels_(std::move(other.labels_)) {
  for (size_t i = 0; i < counters_.size(); ++i) counters_[i] = other.counters_[i].load();
}

Counter& StatusCounters::at(int status) {
  const size_t i = static_cast<size_t>(std::find(kStatuses.begin(), kStatuses.end(), status) -
                                       kStatuses.begin());
  Counter* counter = counters_[i].load(std::memory_order_acquire);
  if (!counter) {
    auto labels = labels_;
    labels.push_back(i < kStatuses.size() ? std::to_string(status) : "other");
    counter = &family_->with(labels);
    counters_[i].store(counter, std::memory_order_release);
  }
  return *counter;
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
        tokens(r.counters("embedding_tokens_total", "Tokens run through the model.", {"model"})),
        rerank_requests(r.counters("rerank_requests_total", "Finished rerank and score requests.",
                                   {"model", "status"})),
        rerank_latency(r.histograms("rerank_request_latency_seconds",
                                    "Time of successful rerank and score requests.", {"model"},
                                    kLatencySeconds)),
        classification_requests(r.counters("classification_requests_total",
                                           "Finished classification requests.",
                                           {"model", "status"})),
        classification_latency(r.histograms("classification_request_latency_seconds",
                                            "Time of successful classification requests.",
                                            {"model"}, kLatencySeconds)),
        chat_requests(r.counters("chat_requests_total", "Finished chat and completion requests.",
                                 {"model", "status"})),
        chat_latency(r.histograms("chat_request_latency_seconds",
                                  "Time of successful chat requests.", {"model"},
                                  kChatLatencySeconds)),
        chat_queue_wait(r.histograms("chat_request_queue_wait_seconds",
                                     "Wait of successful chat requests for their turn.", {"model"},
                                     kBatchWaitSeconds)),
        chat_first_token(r.histograms("chat_time_to_first_token_seconds",
                                      "From a request's arrival to its first text.", {"model"},
                                      kFirstTokenSeconds)),
        chat_token_gap(r.histograms("chat_inter_token_latency_seconds",
                                    "Between two pieces of text of one choice.", {"model"},
                                    kTokenGapSeconds)),
        chat_batch_queue_size(
            r.gauges("chat_batch_queue_size", "Requests waiting for their turn.", {"model"})),
        chat_batch_size(r.histograms("chat_batch_size",
                                     "Sequences running together, at each admission.", {"model"},
                                     kChatBatchSequences)),
        chat_batch_wait(r.histograms("chat_batch_wait_seconds", "Wait in the line until admission.",
                                     {"model"}, kBatchWaitSeconds)),
        chat_queue_rejections(r.counters(
            "chat_batch_queue_rejections_total",
            "Chat requests refused by their model's line: full, too long a wait, or no way "
            "to be in time.",
            {"model"})),
        chat_requeues(r.counters("chat_batch_requeues_total",
                                 "Sequences that gave their cache to others.", {"model"})),
        chat_oom_retries(r.counters("chat_batch_oom_retries_total",
                                    "Batches retried for want of memory.", {"model"})),
        chat_batch_size_max(r.gauges("chat_batch_degraded_max_size",
                                     "Sequences that may run together now.", {"model"})),
        chat_prompt_tokens(r.counters("chat_prompt_tokens_total",
                                      "Prompt tokens of answered requests.", {"model"})),
        chat_cached_tokens(r.counters("chat_cached_prompt_tokens_total",
                                      "Prompt tokens found in the cache.", {"model"})),
        chat_completion_tokens(r.counters("chat_completion_tokens_total",
                                          "Tokens generated for answered requests.", {"model"})),
        chat_prefill_tokens(r.counters("chat_prefill_tokens_total",
                                       "Prompt rows run through the model.", {"model"})),
        chat_decode_tokens(r.counters("chat_decode_tokens_total",
                                      "Decoding rows run through the model.", {"model"})),
        chat_step_seconds(r.counters("chat_step_seconds_total", "Device time of the model's steps.",
                                     {"model"}, 1e-6)),
        chat_tokens_after_disconnect(r.counters("tokens_after_disconnect_total",
                                                "Rows computed for a request already given up.",
                                                {"model"})),
        chat_running(r.gauges("chat_running_sequences", "Sequences running now.", {"model"})),
        chat_kv_blocks(r.gauges("chat_kv_blocks", "Blocks of the cache of keys and values.",
                                {"model", "state"})) {}

  Family<Counter>& requests;
  Family<Histogram>&latency, &queue_wait, &batch_wait;
  Family<Counter>&hits, &misses;
  Family<Histogram>&batch_texts, &batch_tokens;
  Family<Gauge>& queue_size;
  Family<Counter>& tokens;
  Family<Counter>& rerank_requests;
  Family<Histogram>& rerank_latency;
  Family<Counter>& classification_requests;
  Family<Histogram>& classification_latency;
  Family<Counter>& chat_requests;
  Family<Histogram>&chat_latency, &chat_queue_wait, &chat_first_token, &chat_token_gap;
  Family<Gauge>& chat_batch_queue_size;
  Family<Histogram>&chat_batch_size, &chat_batch_wait;
  Family<Counter>&chat_queue_rejections, &chat_requeues, &chat_oom_retries;
  Family<Gauge>& chat_batch_size_max;
  Family<Counter>&chat_prompt_tokens, &chat_cached_tokens, &chat_completion_tokens,
      &chat_prefill_tokens, &chat_decode_tokens, &chat_step_seconds, &chat_tokens_after_disconnect;
  Family<Gauge>&chat_running, &chat_kv_blocks;
  std::mutex mutex;
  std::map<std::string, std::unique_ptr<EmbeddingMetrics>> embedding;
  std::map<std::string, std::unique_ptr<ChatMetrics>> chat;
  std::map<std::string, std::unique_ptr<ScoreMetrics>> rerank, classification;
};

ServerMetrics::ServerMetrics(Registry& r)
    : embedding_queue_rejections(r.counter("embedding_queue_rejections_total",
                                           "Requests of local models refused by a full limiter.")),
      chat_count_pool_size(r.gauge("chat_count_pool_size", "Workers that count prompt tokens.")),
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
      cache_joins(r.counter("inference_cache_joins_total",
                            "Requests answered by an identical one under way.")),
      queue_depth(r.gauge("inference_queue_depth", "Requests waiting for the device.")),
      active_batches(r.gauge("inference_active_batches", "Batches on the device now.")),
      active_connections(r.gauge("inference_active_connections", "Open client connections.")),
      batch_size(r.histogram("inference_batch_size", "Requests per batch.", kDurationMs)),
      tokens_per_second(
          r.gauge("inference_tokens_per_second", "Generated tokens per second, last window.")),
      rate_limit_hits(r.counter("rate_limit_hits_total", "Requests refused by the rate limit.")),
      circuit_breaker_open(
          r.counter("circuit_breaker_open_total", "Times a circuit breaker opened.")),
      circuit_breaker_states(r.gauges("circuit_breaker_state",
                                      "State of a model's circuit breaker: 0 closed, 1 half open,"
                                      " 2 open.",
                                      {"model"})),
      model_rebuilds(r.counters("model_rebuilds_total",
                                "Times a model was loaded again after its engine failed.",
                                {"model", "result"})),
      webhook_events(r.counters("webhook_events_total",
                                "Webhook deliveries by what became of them.", {"result"})),
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

void ServerMetrics::breaker_state(const std::string& model, admission::BreakerState state,
                                  bool opened) {
  if (opened) circuit_breaker_open.add();
  circuit_breaker_states.with({model}).set(static_cast<double>(state));
}

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

ScoreMetrics& ServerMetrics::rerank(const std::string& model) {
  Families& f = *families_;
  const std::lock_guard lock(f.mutex);
  auto& slot = f.rerank[model];
  if (!slot)
    slot.reset(new ScoreMetrics{.requests = StatusCounters(f.rerank_requests, model),
                                .latency_seconds = f.rerank_latency.with({model})});
  return *slot;
}

ScoreMetrics& ServerMetrics::classification(const std::string& model) {
  Families& f = *families_;
  const std::lock_guard lock(f.mutex);
  auto& slot = f.classification[model];
  if (!slot)
    slot.reset(new ScoreMetrics{.requests = StatusCounters(f.classification_requests, model),
                                .latency_seconds = f.classification_latency.with({model})});
  return *slot;
}

ChatMetrics& ServerMetrics::chat(const std::string& model) {
  Families& f = *families_;
  const std::lock_guard lock(f.mutex);
  auto& slot = f.chat[model];
  if (!slot)
    slot.reset(new ChatMetrics{
        .requests = StatusCounters(f.chat_requests, model),
        .latency_seconds = f.chat_latency.with({model}),
        .queue_wait_seconds = f.chat_queue_wait.with({model}),
        .first_token_seconds = f.chat_first_token.with({model}),
        .token_gap_seconds = f.chat_token_gap.with({model}),
        .batch_queue_size = f.chat_batch_queue_size.with({model}),
        .batch_size = f.chat_batch_size.with({model}),
        .batch_wait_seconds = f.chat_batch_wait.with({model}),
        .queue_rejections = f.chat_queue_rejections.with({model}),
        .requeues = f.chat_requeues.with({model}),
        .oom_retries = f.chat_oom_retries.with({model}),
        .batch_size_max = f.chat_batch_size_max.with({model}),
        .prompt_tokens = f.chat_prompt_tokens.with({model}),
        .cached_tokens = f.chat_cached_tokens.with({model}),
        .completion_tokens = f.chat_completion_tokens.with({model}),
        .prefill_tokens = f.chat_prefill_tokens.with({model}),
        .decode_tokens = f.chat_decode_tokens.with({model}),
        .step_seconds = f.chat_step_seconds.with({model}),
        .tokens_after_disconnect = f.chat_tokens_after_disconnect.with({model}),
        .running = f.chat_running.with({model}),
        .kv_blocks_total = f.chat_kv_blocks.with({model, "total"}),
        .kv_blocks_used = f.chat_kv_blocks.with({model, "used"}),
        .kv_blocks_cached = f.chat_kv_blocks.with({model, "cached"}),
    });
  return *slot;
}

}  // namespace sis::server
