#include "serve/server/metrics_table.h"

#include <gtest/gtest.h>

#include <sstream>

namespace sis::server {
namespace {

// The documented names, labels and buckets, as a scraper sees them.
TEST(MetricsTable, DocumentedFamilies) {
  telemetry::Registry registry;
  ServerMetrics metrics(registry);
  EmbeddingMetrics& model = metrics.embedding("BAAI/bge-m3");
  EXPECT_EQ(&model, &metrics.embedding("BAAI/bge-m3"));
  model.requests.at(200).add(2);
  model.requests.at(418).add();
  model.requests.at(429).add();
  EXPECT_EQ(&model.requests.at(429), &model.requests.at(429));
  model.latency_seconds.observe(0.02);
  model.cache_hits.add(3);
  ChatMetrics& chat = metrics.chat("Qwen/Qwen3-4B");
  EXPECT_EQ(&chat, &metrics.chat("Qwen/Qwen3-4B"));
  chat.requests.at(499).add();
  chat.latency_seconds.observe(0.07);
  chat.first_token_seconds.observe(0.02);
  chat.kv_blocks_used.set(7);
  metrics.finished(200, 3);
  metrics.finished(404, 30);
  metrics.finished(503, 300);
  const std::string body = registry.expose("").body;
  for (const char* wanted :
       {"embedding_requests_total{model=\"BAAI/bge-m3\",status=\"200\"} 2\n",
        "embedding_requests_total{model=\"BAAI/bge-m3\",status=\"other\"} 1\n",
        "embedding_requests_total{model=\"BAAI/bge-m3\",status=\"429\"} 1\n",
        "embedding_request_latency_seconds_bucket{model=\"BAAI/bge-m3\",le=\"0.01\"} 0\n",
        "embedding_request_latency_seconds_bucket{model=\"BAAI/bge-m3\",le=\"0.05\"} 1\n",
        "embedding_request_latency_seconds_bucket{model=\"BAAI/bge-m3\",le=\"10\"} 1\n",
        "embedding_request_queue_wait_seconds_bucket{model=\"BAAI/bge-m3\",le=\"0.001\"} 0\n",
        "embedding_batch_wait_seconds_bucket{model=\"BAAI/bge-m3\",le=\"2\"} 0\n",
        "embedding_cache_hits_total{model=\"BAAI/bge-m3\"} 3\n",
        "embedding_cache_misses_total{model=\"BAAI/bge-m3\"} 0\n",
        "embedding_queue_rejections_total 0\n",
        "chat_requests_total{model=\"Qwen/Qwen3-4B\",status=\"200\"} 0\n",
        "chat_requests_total{model=\"Qwen/Qwen3-4B\",status=\"499\"} 1\n",
        "chat_request_latency_seconds_bucket{model=\"Qwen/Qwen3-4B\",le=\"0.1\"} 1\n",
        "chat_request_latency_seconds_bucket{model=\"Qwen/Qwen3-4B\",le=\"20\"} 1\n",
        "chat_request_queue_wait_seconds_bucket{model=\"Qwen/Qwen3-4B\",le=\"2\"} 0\n",
        "chat_time_to_first_token_seconds_bucket{model=\"Qwen/Qwen3-4B\",le=\"0.025\"} 1\n",
        "chat_inter_token_latency_seconds_count{model=\"Qwen/Qwen3-4B\"} 0\n",
        "chat_batch_queue_size{model=\"Qwen/Qwen3-4B\"} 0\n",
        "chat_batch_size_bucket{model=\"Qwen/Qwen3-4B\",le=\"32\"} 0\n",
        "chat_batch_wait_seconds_bucket{model=\"Qwen/Qwen3-4B\",le=\"2\"} 0\n",
        "chat_batch_oom_retries_total{model=\"Qwen/Qwen3-4B\"} 0\n",
        "chat_batch_queue_rejections_total{model=\"Qwen/Qwen3-4B\"} 0\n",
        "chat_batch_requeues_total{model=\"Qwen/Qwen3-4B\"} 0\n",
        "chat_batch_degraded_max_size{model=\"Qwen/Qwen3-4B\"} 0\n",
        "chat_prefill_tokens_total{model=\"Qwen/Qwen3-4B\"} 0\n",
        "chat_decode_tokens_total{model=\"Qwen/Qwen3-4B\"} 0\n",
        "chat_running_sequences{model=\"Qwen/Qwen3-4B\"} 0\n",
        "chat_kv_blocks{model=\"Qwen/Qwen3-4B\",state=\"used\"} 7\n",
        "tokens_after_disconnect_total{model=\"Qwen/Qwen3-4B\"} 0\n",
        "chat_count_pool_size 0\n",
        "inference_requests_total 3\n",
        "inference_errors_4xx_total 1\n",
        "inference_errors_5xx_total 1\n",
        "inference_request_duration_ms_bucket{le=\"5\"} 1\n",
        "inference_request_duration_ms_bucket{le=\"10000\"} 3\n",
        "inference_request_duration_ms_p50 30\n",
        "inference_request_duration_ms_p95 300\n",
        "inference_request_duration_ms_p99 300\n",
        "inference_cache_hits_total 0\n",
        "inference_cache_misses_total 0\n",
        "inference_queue_depth 0\n",
        "inference_active_batches 0\n",
        "inference_active_connections 0\n",
        "inference_batch_size_count 0\n",
        "inference_tokens_per_second 0\n",
        "rate_limit_hits_total 0\n",
        "circuit_breaker_open_total 0\n",
        "queue_generic_label_warn_total 0\n",
        "audio_queue_generic_label_warn_total 0\n"})
    EXPECT_NE(body.find(wanted), std::string::npos) << wanted << body;
}

}  // namespace
}  // namespace sis::server
