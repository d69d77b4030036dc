#include "perf/join/server_kind.h"

namespace sis::perf {
namespace {

using M = Meaning;
constexpr double kMs = 1e3;     // seconds to ms
constexpr double kUsMs = 1e-3;  // us to ms
constexpr bool kOtherName = true;

// `whole` less `part`, both histograms of seconds of which `requests` counts every good request.
constexpr MetricMeaning rest_ms(std::string_view key, std::string_view whole, std::string_view part,
                                std::string_view requests) {
  return {.key = key,
          .meaning = M::kRest,
          .name = whole,
          .other = part,
          .scale = kMs,
          .requests = requests};
}

// Ours; docs/observability.md lists them.
constexpr MetricMeaning kSis[] = {
    {"requests", M::kCount, "inference_requests_total", {}},
    {"errors_4xx", M::kCount, "inference_errors_4xx_total", {}},
    {"errors_5xx", M::kCount, "inference_errors_5xx_total", {}},
    {"rejected", M::kCount, "chat_batch_queue_rejections_total", {}},
    {"request_ms", M::kMean, "inference_request_duration_ms", {}},
    {"queue_ms", M::kMean, "embedding_request_queue_wait_seconds", {}, kMs},
    {"queue_ms", M::kMean, "chat_request_queue_wait_seconds", {}, kMs},
    // Nothing measures these: they are what lies between the times that are.
    rest_ms("prefill_ms", "chat_time_to_first_token_seconds", "chat_request_queue_wait_seconds",
            "chat_request_latency_seconds"),
    rest_ms("decode_ms", "chat_request_latency_seconds", "chat_time_to_first_token_seconds",
            "chat_request_latency_seconds"),
    rest_ms("compute_ms", "embedding_request_latency_seconds",
            "embedding_request_queue_wait_seconds", "embedding_request_latency_seconds"),
    {"batch_wait_ms", M::kMean, "embedding_batch_wait_seconds", {}, kMs},
    {"batch_wait_ms", M::kMean, "chat_batch_wait_seconds", {}, kMs},
    {"batch_size", M::kMean, "embedding_batch_size", {}},
    {"batch_size", M::kMean, "chat_batch_size", {}},
    {"batch_tokens", M::kMean, "embedding_batch_tokens", {}},
    {"ttft_ms", M::kMean, "chat_time_to_first_token_seconds", {}, kMs},
    {"itl_ms", M::kMean, "chat_inter_token_latency_seconds", {}, kMs},
    {"prompt_tokens", M::kCount, "chat_prompt_tokens_total", {}},
    {"output_tokens", M::kCount, "chat_completion_tokens_total", {}},
    {"cached_tokens", M::kCount, "chat_cached_prompt_tokens_total", {}},
    {"prefill_tokens", M::kCount, "chat_prefill_tokens_total", {}},
    {"decode_tokens", M::kCount, "chat_decode_tokens_total", {}},
    {"device_s", M::kCount, "chat_step_seconds_total", {}},
    {"cache_hit_rate", M::kHitShare, "embedding_cache_hits_total", "embedding_cache_misses_total"},
    {"prompt_cache_share", M::kPartShare, "chat_cached_prompt_tokens_total",
     "chat_prompt_tokens_total"},
    {"running", M::kGauge, "chat_running_sequences", {}},
    {"waiting", M::kGauge, "embedding_batch_queue_size", {}},
    {"waiting", M::kGauge, "chat_batch_queue_size", {}},
    {"memory_bytes", M::kGauge, "process_memory_bytes", {}},
    {"cpu_percent", M::kGauge, "process_cpu_percent", {}},
};

constexpr MetricMeaning kVllm[] = {
    {"requests", M::kCount, "vllm:request_success_total", {}},
    {"errors", M::kCount, "vllm:request_success_total", {}, 1, "finished_reason", "abort"},
    {"request_ms", M::kMean, "vllm:e2e_request_latency_seconds", {}, kMs},
    {"queue_ms", M::kMean, "vllm:request_queue_time_seconds", {}, kMs},
    {"prefill_ms", M::kMean, "vllm:request_prefill_time_seconds", {}, kMs},
    {"decode_ms", M::kMean, "vllm:request_decode_time_seconds", {}, kMs},
    {"compute_ms", M::kMean, "vllm:request_inference_time_seconds", {}, kMs},
    {"ttft_ms", M::kMean, "vllm:time_to_first_token_seconds", {}, kMs},
    {"itl_ms", M::kMean, "vllm:inter_token_latency_seconds", {}, kMs},
    // Older names stand beside the new ones on some versions' pages.
    {"itl_ms", M::kMean, "vllm:time_per_output_token_seconds", {}, kMs, {}, {}, kOtherName},
    {"batch_tokens", M::kMean, "vllm:iteration_tokens_total", {}},
    {"prompt_tokens", M::kCount, "vllm:prompt_tokens_total", {}},
    {"output_tokens", M::kCount, "vllm:generation_tokens_total", {}},
    {"preemptions", M::kCount, "vllm:num_preemptions_total", {}},
    {"cached_tokens", M::kCount, "vllm:prefix_cache_hits_total", {}},
    {"cached_tokens", M::kCount, "vllm:gpu_prefix_cache_hits_total", {}, 1, {}, {}, kOtherName},
    {"cache_hit_rate", M::kPartShare, "vllm:prefix_cache_hits_total",
     "vllm:prefix_cache_queries_total"},
    {"cache_hit_rate",
     M::kPartShare,
     "vllm:gpu_prefix_cache_hits_total",
     "vllm:gpu_prefix_cache_queries_total",
     1,
     {},
     {},
     kOtherName},
    {"running", M::kGauge, "vllm:num_requests_running", {}},
    {"waiting", M::kGauge, "vllm:num_requests_waiting", {}},
    {"kv_cache_used", M::kGauge, "vllm:kv_cache_usage_perc", {}},
    {"kv_cache_used", M::kGauge, "vllm:gpu_cache_usage_perc", {}, 1, {}, {}, kOtherName},
};

constexpr MetricMeaning kTgi[] = {
    {"requests", M::kCount, "tgi_request_count", {}},
    {"errors", M::kCount, "tgi_request_failure", {}},
    {"request_ms", M::kMean, "tgi_request_duration", {}, kMs},
    {"queue_ms", M::kMean, "tgi_request_queue_duration", {}, kMs},
    {"compute_ms", M::kMean, "tgi_request_inference_duration", {}, kMs},
    {"itl_ms", M::kMean, "tgi_request_mean_time_per_token_duration", {}, kMs},
    {"prefill_ms", M::kMean, "tgi_batch_inference_duration", {}, kMs, "method", "prefill"},
    {"decode_step_ms", M::kMean, "tgi_batch_inference_duration", {}, kMs, "method", "decode"},
    {"batches", M::kCount, "tgi_batch_inference_count", {}},
    {"batch_size", M::kMean, "tgi_batch_next_size", {}},
    {"prompt_tokens", M::kCount, "tgi_request_input_length_sum", {}},
    {"output_tokens", M::kCount, "tgi_request_generated_tokens_sum", {}},
    {"running", M::kGauge, "tgi_batch_current_size", {}},
    {"waiting", M::kGauge, "tgi_queue_size", {}},
};

constexpr MetricMeaning kLlama[] = {
    {"prompt_tokens", M::kCount, "llamacpp:prompt_tokens_total", {}},
    {"output_tokens", M::kCount, "llamacpp:tokens_predicted_total", {}},
    {"batches", M::kCount, "llamacpp:n_decode_total", {}},
    {"prefill_token_ms", M::kRatioMean, "llamacpp:prompt_seconds_total",
     "llamacpp:prompt_tokens_total", kMs},
    {"itl_ms", M::kRatioMean, "llamacpp:tokens_predicted_seconds_total",
     "llamacpp:tokens_predicted_total", kMs},
    {"batch_size", M::kGauge, "llamacpp:n_busy_slots_per_decode", {}},
    {"running", M::kGauge, "llamacpp:requests_processing", {}},
    {"waiting", M::kGauge, "llamacpp:requests_deferred", {}},
    {"kv_cache_used", M::kGauge, "llamacpp:kv_cache_usage_ratio", {}},
};

constexpr MetricMeaning kTriton[] = {
    {"requests", M::kCount, "nv_inference_request_success", {}},
    {"errors", M::kCount, "nv_inference_request_failure", {}},
    {"items", M::kCount, "nv_inference_count", {}},
    {"batches", M::kCount, "nv_inference_exec_count", {}},
    {"batch_size", M::kRatioMean, "nv_inference_count", "nv_inference_exec_count"},
    {"request_ms", M::kRatioMean, "nv_inference_request_duration_us",
     "nv_inference_request_success", kUsMs},
    {"queue_ms", M::kRatioMean, "nv_inference_queue_duration_us", "nv_inference_request_success",
     kUsMs},
    {"compute_input_ms", M::kRatioMean, "nv_inference_compute_input_duration_us",
     "nv_inference_request_success", kUsMs},
    {"compute_ms", M::kRatioMean, "nv_inference_compute_infer_duration_us",
     "nv_inference_request_success", kUsMs},
    {"compute_output_ms", M::kRatioMean, "nv_inference_compute_output_duration_us",
     "nv_inference_request_success", kUsMs},
    {"cache_hit_rate", M::kHitShare, "nv_cache_num_hits_per_model",
     "nv_cache_num_misses_per_model"},
    {"waiting", M::kGauge, "nv_inference_pending_request_count", {}},
    {"gpu_utilization", M::kGauge, "nv_gpu_utilization", {}},
    {"gpu_memory_bytes", M::kGauge, "nv_gpu_memory_used_bytes", {}},
};

constexpr ServerKind kKinds[] = {
    {"vllm", "vllm:", "model_name", kVllm},
    {"tgi", "tgi_", {}, kTgi},
    {"llama-server", "llamacpp:", {}, kLlama},
    {"triton", "nv_inference_", "model", kTriton},
    {"sis", "inference_requests_total", "model", kSis},
};

}  // namespace

const ServerKind* recognise(const MetricPage& page) {
  for (const ServerKind& kind : kKinds)
    if (page.has_prefix(kind.mark)) return &kind;
  return nullptr;
}

}  // namespace sis::perf
