// What the tasks and routes tell about themselves, moved into the metric families.
#pragma once

#include "serve/api/openai/embeddings.h"
#include "serve/server/metrics_table.h"
#include "serve/tasks/embed.h"

namespace sis::server {

// Lookups and batches of one embedding model.
class EmbedMeter final : public tasks::EmbedObserver {
 public:
  EmbedMeter(ServerMetrics& metrics, const std::string& model)
      : general_(metrics), own_(metrics.embedding(model)) {}

  void on_lookup(int hits, int misses) override {
    if (hits > 0) own_.cache_hits.add(hits);
    if (misses > 0) own_.cache_misses.add(misses);
  }
  void on_batch(int texts, int tokens, std::span<const Duration> waits, Duration) override {
    own_.batch_texts.observe(texts);
    own_.batch_tokens.observe(tokens);
    own_.tokens.add(tokens);
    general_.batch_size.observe(texts);
    for (const Duration wait : waits) own_.batch_wait_seconds.observe(to_seconds(wait));
  }

 private:
  ServerMetrics& general_;
  EmbeddingMetrics& own_;
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

}  // namespace sis::server
