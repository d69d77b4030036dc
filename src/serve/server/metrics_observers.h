// What the tasks and routes tell about themselves, moved into the metric families.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>

#include "infer/engine/generator.h"
#include "serve/admission/gate.h"
#include "serve/api/observer.h"
#include "serve/cache/response_cache.h"
#include "serve/server/front_door.h"
#include "serve/server/line_log.h"
#include "serve/server/metrics_table.h"
#include "serve/tasks/embed.h"
#include "telemetry/log.h"

namespace sis::server {

// Requests that the front door turned away, and those that a client's limits refused.
class RefusalMeter final : public FrontDoorObserver {
 public:
  explicit RefusalMeter(ServerMetrics& metrics) : general_(metrics) {}

  void on_refusal(int status, Duration latency) override {
    general_.finished(status, to_ms(latency));
  }
  void on_limit() override { general_.rate_limit_hits.add(); }

 private:
  ServerMetrics& general_;
};

// Requests that a gate refused.
class GateMeter final : public admission::GateObserver {
 public:
  // `full`: counts those that found no ticket or slot; null: nobody does.
  explicit GateMeter(telemetry::Counter* full) : full_(full) {}

  // Refusals by this lane's forecast count here.
  void add_lane(const admission::Lane& lane, telemetry::Counter& refusals) {
    const std::lock_guard lock(mutex_);
    lanes_[&lane] = &refusals;
  }
  void on_refused(Refusal why, const admission::Lane* lane) override {
    if ((why == Refusal::kFull || why == Refusal::kNoSlot) && full_) full_->add();
    if (why != Refusal::kForecast) return;
    const std::lock_guard lock(mutex_);
    if (const auto it = lanes_.find(lane); it != lanes_.end()) it->second->add();
  }

 private:
  telemetry::Counter* full_;
  std::mutex mutex_;
  std::map<const admission::Lane*, telemetry::Counter*> lanes_;
};

// Lookups and batches of one embedding model.
class EmbedMeter final : public tasks::EmbedObserver {
 public:
  EmbedMeter(ServerMetrics& metrics, const std::string& model, admission::Lane& lane,
             const telemetry::Logger& log)
      : general_(metrics), own_(metrics.embedding(model)), lane_(lane), model_(model), log_(log) {}

  void on_lookup(int hits, int misses) override {
    if (hits > 0) own_.cache_hits.add(hits);
    if (misses > 0) own_.cache_misses.add(misses);
  }
  void on_batch(int texts, int tokens, std::span<const Duration> waits, Duration compute) override {
    lane_.on_step(tokens, 0, compute);
    own_.batch_texts.observe(texts);
    own_.batch_tokens.observe(tokens);
    own_.tokens.add(tokens);
    general_.batch_size.observe(texts);
    for (const Duration wait : waits) own_.batch_wait_seconds.observe(to_seconds(wait));
  }
  void on_failure(const std::string& what) override {
    log_.error("step_failed", {{"model", model_}, {"reason", what}});
  }

 private:
  ServerMetrics& general_;
  EmbeddingMetrics& own_;
  admission::Lane& lane_;
  const std::string model_;
  const telemetry::Logger log_;
};

// Look-ups in the response cache.
class CacheMeter final : public cache::CacheObserver {
 public:
  explicit CacheMeter(ServerMetrics& metrics) : metrics_(metrics) {}

  void on_hit() override { metrics_.cache_hits.add(); }
  void on_miss() override { metrics_.cache_misses.add(); }
  void on_join() override { metrics_.cache_joins.add(); }

 private:
  ServerMetrics& metrics_;
};

// Finished requests of one embedding model, or of none that is loaded.
class RequestMeter final : public api::RequestObserver {
 public:
  RequestMeter(ServerMetrics& metrics, const std::string& model)
      : general_(metrics), own_(metrics.embedding(model)) {}

  void on_request(int status, Duration latency, Duration queue_wait) override {
    own_.requests.at(status).add();
    general_.finished(status, to_ms(latency));
    if (status != 200) return;
    own_.latency_seconds.observe(to_seconds(latency));
    own_.queue_wait_seconds.observe(to_seconds(queue_wait));
  }

 private:
  ServerMetrics& general_;
  EmbeddingMetrics& own_;
};

// Finished requests that asked one model to rerank or to classify.
class ScoreMeter final : public api::RequestObserver {
 public:
  ScoreMeter(ServerMetrics& metrics, ScoreMetrics& own) : general_(metrics), own_(own) {}

  void on_request(int status, Duration latency, Duration) override {
    own_.requests.at(status).add();
    general_.finished(status, to_ms(latency));
    if (status == 200) own_.latency_seconds.observe(to_seconds(latency));
  }

 private:
  ServerMetrics& general_;
  ScoreMetrics& own_;
};

// Finished chat and completion requests of one model, or of none that chats.
class ChatRequestMeter final : public api::GenerateObserver {
 public:
  ChatRequestMeter(ServerMetrics& metrics, const std::string& model)
      : general_(metrics), own_(metrics.chat(model)) {}

  void on_request(int status, Duration latency, Duration queue_wait) override {
    own_.requests.at(status).add();
    general_.finished(status, to_ms(latency));
    if (status != 200) return;
    own_.latency_seconds.observe(to_seconds(latency));
    own_.queue_wait_seconds.observe(to_seconds(queue_wait));
  }
  void on_line_refusal() override { own_.queue_rejections.add(); }
  void on_first_token(Duration since_arrival) override {
    own_.first_token_seconds.observe(to_seconds(since_arrival));
  }
  void on_token_gap(Duration gap) override { own_.token_gap_seconds.observe(to_seconds(gap)); }
  void on_usage(const tasks::Usage& usage) override {
    own_.prompt_tokens.add(usage.prompt_tokens);
    own_.cached_tokens.add(usage.cached_tokens);
    own_.completion_tokens.add(usage.completion_tokens);
  }

 private:
  ServerMetrics& general_;
  ChatMetrics& own_;
};

// Steps, admissions and the line of one chat model.
class ChatStepMeter final : public engine::GeneratorObserver {
 public:
  // Counts what all models decode in `decoded`.
  ChatStepMeter(ServerMetrics& metrics, const std::string& model, admission::Lane& lane,
                std::atomic<int64_t>& decoded, const telemetry::Logger& log,
                std::unique_ptr<LineLog> line)
      : general_(metrics),
        own_(metrics.chat(model)),
        lane_(lane),
        decoded_(decoded),
        model_(model),
        log_(log),
        line_(std::move(line)) {}

  void on_step(int32_t prefill_tokens, int32_t decode_rows, Duration compute) override {
    lane_.on_step(prefill_tokens, decode_rows, compute);
    own_.prefill_tokens.add(prefill_tokens);
    own_.decode_tokens.add(decode_rows);
    own_.step_seconds.add(static_cast<uint64_t>(to_ms(compute) * 1000));
    decoded_.fetch_add(decode_rows, std::memory_order_relaxed);
  }
  void on_admission(int32_t running, Duration waited) override {
    own_.batch_size.observe(running);
    general_.batch_size.observe(running);
    own_.batch_wait_seconds.observe(to_seconds(waited));
  }
  void on_preemption() override { own_.requeues.add(); }
  void on_tokens_after_cancel(int32_t tokens) override { own_.tokens_after_disconnect.add(tokens); }
  void on_line_full(int32_t waiting) override { line_->full(waiting); }
  void on_line_expired(int32_t dropped, int32_t waiting, Duration oldest) override {
    line_->expired(dropped, waiting, oldest);
  }
  void on_failure(const std::string& what) override {
    log_.error("step_failed", {{"model", model_}, {"reason", what}});
  }

 private:
  ServerMetrics& general_;
  ChatMetrics& own_;
  admission::Lane& lane_;
  std::atomic<int64_t>& decoded_;
  const std::string model_;
  const telemetry::Logger log_;
  const std::unique_ptr<LineLog> line_;
};

}  // namespace sis::server
