// THE table of metric families the server has: names, labels and buckets as documented, declared in
// one place.
//
// Label `model` is the API name; requests for models that are not loaded count as "unknown".
// Per-model handles are looked up once when the model is loaded and kept, so that a request moves
// its metrics without a lock.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "serve/admission/breaker.h"
#include "telemetry/metrics.h"

namespace sis::server {

inline constexpr const char* kUnknownModel = "unknown";

// The counters of one model's requests by HTTP status: those we answer with, and "other". Looked up
// once each.
class StatusCounters {
 public:
  // Of the series whose labels before `status` are `labels`. No series is there before it counts.
  StatusCounters(telemetry::Family<telemetry::Counter>& family, std::vector<std::string> labels);
  // With its 200 there from the start, so that a rate of errors has something to be divided by.
  StatusCounters(telemetry::Family<telemetry::Counter>& family, const std::string& model);
  StatusCounters(StatusCounters&& other) noexcept;
  telemetry::Counter& at(int status);

 private:
  telemetry::Family<telemetry::Counter>* family_;
  std::vector<std::string> labels_;
  static constexpr std::array<int, 18> kStatuses = {200, 204, 307, 400, 401, 403, 404, 405, 408,
                                                    413, 415, 422, 429, 499, 500, 502, 503, 504};
  std::array<std::atomic<telemetry::Counter*>, kStatuses.size() + 1>
      counters_{};  // made when first needed
};

// Handles of one embedding model.
struct EmbeddingMetrics {
  StatusCounters requests;                   // embedding_requests_total
  telemetry::Histogram& latency_seconds;     // 200 only
  telemetry::Histogram& queue_wait_seconds;  // slot acquired
  telemetry::Histogram& batch_wait_seconds;  // enqueue to dispatch
  telemetry::Counter& cache_hits;            // per text
  telemetry::Counter& cache_misses;
  telemetry::Histogram& batch_texts;  // per device batch
  telemetry::Histogram& batch_tokens;
  telemetry::Gauge& batch_queue_size;  // requests queued now
  telemetry::Counter& tokens;          // tokens run through the model
};

// Handles of one chat model.
struct ChatMetrics {
  StatusCounters requests;                   // chat_requests_total
  telemetry::Histogram& latency_seconds;     // 200 only
  telemetry::Histogram& queue_wait_seconds;  // until the running set takes it
  telemetry::Histogram& first_token_seconds;
  telemetry::Histogram& token_gap_seconds;
  telemetry::Gauge& batch_queue_size;        // requests waiting now
  telemetry::Histogram& batch_size;          // sequences running, at each admission
  telemetry::Histogram& batch_wait_seconds;  // enqueue to admission
  telemetry::Counter& queue_rejections;      // by the model's line
  telemetry::Counter& requeues;              // preemptions
  telemetry::Counter& oom_retries;           // stays 0: memory is taken when the model loads
  telemetry::Gauge& batch_size_max;          // chat_batch_degraded_max_size
  telemetry::Counter& prompt_tokens;         // of answered requests, as usage tells them
  telemetry::Counter& cached_tokens;         // of these, found in the cache
  telemetry::Counter& completion_tokens;
  telemetry::Counter& prefill_tokens;  // rows computed, repeated work included
  telemetry::Counter& decode_tokens;
  telemetry::Counter& step_seconds;  // device time; counts microseconds
  telemetry::Counter& tokens_after_disconnect;
  telemetry::Gauge& running;  // sequences
  telemetry::Gauge& kv_blocks_total;
  telemetry::Gauge& kv_blocks_used;
  telemetry::Gauge& kv_blocks_cached;
};

// Handles of one model that reranks or classifies; its batches and cache count as an embedding
// model's.
struct ScoreMetrics {
  StatusCounters requests;                // rerank_requests_total, classification_requests_total
  telemetry::Histogram& latency_seconds;  // 200 only
};

class ServerMetrics {
 public:
  explicit ServerMetrics(telemetry::Registry& registry);
  ~ServerMetrics();
  ServerMetrics(const ServerMetrics&) = delete;

  // Made on first use, then the same object; keep the reference.
  EmbeddingMetrics& embedding(const std::string& model);
  ChatMetrics& chat(const std::string& model);
  ScoreMetrics& rerank(const std::string& model);
  ScoreMetrics& classification(const std::string& model);
  telemetry::Counter& embedding_queue_rejections;
  telemetry::Gauge& chat_count_pool_size;  // workers that prepare and count prompts

  // General family, unlabelled as its readers expect. Call once per finished HTTP request of an
  // inference route.
  void finished(int status, double duration_ms) {
    requests.add();
    duration_ms_histogram.observe(duration_ms);
    recent_ms_->observe(duration_ms);
    if (status >= 500)
      errors_5xx.add();
    else if (status >= 400)
      errors_4xx.add();
  }
  telemetry::Counter& requests;  // inference_requests_total
  telemetry::Histogram&
      duration_ms_histogram;  // inference_request_duration_ms, with _p50 _p95 _p99
  telemetry::Counter& errors_5xx;
  telemetry::Counter& errors_4xx;
  telemetry::Counter& cache_hits;  // inference_cache_hits_total: response cache
  telemetry::Counter& cache_misses;
  telemetry::Counter& cache_joins;
  telemetry::Gauge& queue_depth;
  telemetry::Gauge& active_batches;
  telemetry::Gauge& active_connections;
  telemetry::Histogram& batch_size;
  telemetry::Gauge& tokens_per_second;
  telemetry::Counter& rate_limit_hits;
  telemetry::Counter& circuit_breaker_open;
  // Sets the model's gauge, and counts when it has opened.
  void breaker_state(const std::string& model, admission::BreakerState state, bool opened);
  telemetry::Family<telemetry::Gauge>& circuit_breaker_states;  // 0 closed, 1 half open, 2 open
  telemetry::Family<telemetry::Counter>& model_rebuilds;        // model, result: ok, failed
  telemetry::Family<telemetry::Counter>& webhook_events;        // result

 private:
  struct Families;
  std::unique_ptr<Families> families_;
  std::shared_ptr<telemetry::RecentQuantiles> recent_ms_;
  std::vector<std::shared_ptr<void>> callbacks_;
};

}  // namespace sis::server
