#include "serve/server/settings_rows.h"

#include <utility>

#include "serve/server/settings_table.h"

namespace sis::server {
namespace {

using enum SettingType;
using enum SettingUse;

constexpr double kCountMax = 1 << 20;  // concurrency, threads, queue places, texts
constexpr double kTokensMax = 1 << 24;
constexpr double kBytesMax = 1099511627776.0;  // 1 TiB
constexpr double kRedisValueMax = 8 << 20;     // a larger one would hold up the others

bool batch_max_size_is_for_embeddings(const Settings& settings) {
  return settings.is_set("BATCH_MAX_SIZE") && !infer_token_on(settings);
}

// Rows are packed by hand; one field a line would make the table three times as long.
// clang-format off
std::vector<SettingDef> models_and_device() {
  return {
      {.name = "MODELS", .type = kList, .aliases = {"MODEL_NAMES"},
       .help = "API names of the models to serve, from the catalog; not set: the demo models"},
      {.name = "MODEL_DEVICE", .initial = "auto", .flags = {"device"},
       .help = "auto (cuda, then mps, then cpu), cpu, mps, cuda or cuda:<index>"},
      {.name = "MODEL_CONFIG_PATH", .type = kPath, .initial = "models.yaml",
       .aliases = {"MODEL_CONFIG"}, .flags = {"config"},
       .help = "the catalog; <stem>.local.yaml beside it is laid over it"},
      {.name = "AUTO_DOWNLOAD_MODELS", .type = kBool, .initial = "1",
       .help = "fetch missing weights before loading", .use = kNotYet},
      {.name = "HF_HOME", .type = kPath, .initial = "./models",
       .help = "root of the local weights"},
      {.name = "TRUST_REMOTE_CODE_ALLOWLIST", .type = kList,
       .help = "repositories allowed to run their own code; this program never runs any",
       .use = kIgnored},
  };
}

std::vector<SettingDef> admission() {
  return {
      {.name = "MAX_CONCURRENT", .type = kInt, .initial = "4", .least = 1, .most = kCountMax,
       .help = "default of each capability's own limit of slots; the device itself runs one step at"
               " a time, in fair turns"},
      {.name = "DEVICE_SHARED_STEP_MS", .type = kMillis, .initial = "10", .least = 0, .most = 10000,
       .unit = "ms",
       .help = "how long a model's step should take at most while other models use the device, too;"
               " 0 = as long as it likes"},
      {.name = "MAX_QUEUE_SIZE", .type = kInt, .initial = "64", .least = 0, .most = kCountMax,
       .help = "requests waiting plus running; 0 = no bound"},
      {.name = "QUEUE_TIMEOUT_SEC", .type = kSeconds, .initial = "2", .least = 0, .unit = "s",
       .help = "longest wait for a slot; 0 = do not wait"},
      {.name = "EMBEDDING_MAX_CONCURRENT", .type = kInt, .fallbacks = {{"MAX_CONCURRENT"}},
       .least = 1, .most = kCountMax,
       .help = "embedding and rerank slots, where requests are not batched"},
      {.name = "EMBEDDING_MAX_QUEUE_SIZE", .type = kInt, .fallbacks = {{"MAX_QUEUE_SIZE"}},
       .least = 0, .most = kCountMax,
       .help = "embedding and rerank requests waiting plus running; 0 = no bound"},
      {.name = "EMBEDDING_QUEUE_TIMEOUT_SEC", .type = kSeconds,
       .fallbacks = {{"QUEUE_TIMEOUT_SEC"}}, .least = 0, .unit = "s",
       .help = "longest wait for an embedding slot"},
      {.name = "CHAT_MAX_CONCURRENT", .type = kInt, .fallbacks = {{"MAX_CONCURRENT"}}, .least = 1,
       .most = kCountMax, .help = "chat slots, where requests are not batched"},
      {.name = "CHAT_MAX_QUEUE_SIZE", .type = kInt, .fallbacks = {{"MAX_QUEUE_SIZE"}}, .least = 0,
       .most = kCountMax, .help = "chat requests waiting plus running; 0 = no bound"},
      {.name = "CHAT_QUEUE_TIMEOUT_SEC", .type = kSeconds, .fallbacks = {{"QUEUE_TIMEOUT_SEC"}},
       .least = 0, .unit = "s", .help = "longest wait for a chat slot"},
      {.name = "TEXT_MAX_QUEUE_SIZE", .type = kInt, .fallbacks = {{"MAX_QUEUE_SIZE"}}, .least = 0,
       .most = kCountMax,
       .help = "requests to tokenise, detokenise or apply a template at once; 0 = no bound"},
      {.name = "VISION_MAX_CONCURRENT", .type = kInt, .fallbacks = {{"MAX_CONCURRENT"}}, .least = 1,
       .most = kCountMax, .help = "slots of chats with images", .use = kNotYet},
      {.name = "VISION_MAX_QUEUE_SIZE", .type = kInt, .fallbacks = {{"MAX_QUEUE_SIZE"}}, .least = 0,
       .most = kCountMax, .help = "chats with images waiting plus running; 0 = no bound",
       .use = kNotYet},
      {.name = "VISION_QUEUE_TIMEOUT_SEC", .type = kSeconds, .fallbacks = {{"QUEUE_TIMEOUT_SEC"}},
       .least = 0, .unit = "s", .help = "longest wait for a vision slot", .use = kNotYet},
      {.name = "AUDIO_MAX_CONCURRENT", .type = kInt, .fallbacks = {{"MAX_CONCURRENT"}}, .least = 1,
       .most = kCountMax, .help = "audio slots", .use = kNotYet},
      {.name = "AUDIO_MAX_QUEUE_SIZE", .type = kInt, .fallbacks = {{"MAX_QUEUE_SIZE"}}, .least = 0,
       .most = kCountMax, .help = "audio requests waiting plus running; 0 = no bound",
       .use = kNotYet},
      {.name = "AUDIO_QUEUE_TIMEOUT_SEC", .type = kSeconds, .fallbacks = {{"QUEUE_TIMEOUT_SEC"}},
       .least = 0, .unit = "s", .help = "longest wait for an audio slot", .use = kNotYet},
      {.name = "OPENAI_PROXY_MAX_CONCURRENT", .type = kInt, .fallbacks = {{"MAX_CONCURRENT"}},
       .least = 1, .most = kCountMax, .help = "slots of requests passed on to OpenAI",
       .use = kNotYet},
      {.name = "OPENAI_PROXY_MAX_QUEUE_SIZE", .type = kInt, .fallbacks = {{"MAX_QUEUE_SIZE"}},
       .least = 0, .most = kCountMax,
       .help = "OpenAI requests waiting plus running; 0 = no bound", .use = kNotYet},
      {.name = "OPENAI_PROXY_QUEUE_TIMEOUT_SEC", .type = kSeconds,
       .fallbacks = {{"QUEUE_TIMEOUT_SEC"}}, .least = 0, .unit = "s",
       .help = "longest wait for an OpenAI slot", .use = kNotYet},
      {.name = "VLLM_PROXY_MAX_CONCURRENT", .type = kInt, .fallbacks = {{"MAX_CONCURRENT"}},
       .least = 1, .most = kCountMax, .help = "slots of requests passed on to vLLM",
       .use = kNotYet},
      {.name = "VLLM_PROXY_MAX_QUEUE_SIZE", .type = kInt, .fallbacks = {{"MAX_QUEUE_SIZE"}},
       .least = 0, .most = kCountMax,
       .help = "vLLM requests waiting plus running; 0 = no bound", .use = kNotYet},
      {.name = "VLLM_PROXY_QUEUE_TIMEOUT_SEC", .type = kSeconds,
       .fallbacks = {{"QUEUE_TIMEOUT_SEC"}}, .least = 0, .unit = "s",
       .help = "longest wait for a vLLM slot", .use = kNotYet},
      {.name = "EMBEDDING_MAX_WORKERS", .type = kInt, .initial = "4", .most = kCountMax, .floor = 1,
       .help = "embedding jobs prepared at once", .use = kNotYet},
      {.name = "CHAT_MAX_WORKERS", .type = kInt, .initial = "4", .most = kCountMax, .floor = 1,
       .help = "chat jobs prepared at once", .use = kNotYet},
      {.name = "VISION_MAX_WORKERS", .type = kInt, .initial = "2", .most = kCountMax, .floor = 1,
       .help = "vision jobs prepared at once", .use = kNotYet},
      {.name = "AUDIO_MAX_WORKERS", .type = kInt, .initial = "1", .most = kCountMax, .floor = 1,
       .help = "audio jobs prepared at once", .use = kNotYet},
      {.name = "EMBEDDING_COUNT_MAX_WORKERS", .type = kInt, .initial = "2", .most = kCountMax,
       .floor = 1, .help = "embedding token counts at once", .use = kNotYet},
      {.name = "CHAT_COUNT_MAX_WORKERS", .type = kInt, .initial = "2", .most = kCountMax,
       .floor = 1, .help = "chat token counts at once", .use = kNotYet},
      {.name = "CHAT_COUNT_USE_CHAT_EXECUTOR", .type = kBool, .initial = "0",
       .help = "count chat tokens on the generation workers", .use = kNotYet},
      {.name = "RERANK_MAX_WORKERS", .type = kInt, .most = kCountMax, .floor = 1,
       .help = "rerank shares the embedding workers", .use = kIgnored},
      {.name = "EXECUTOR_GRACE_PERIOD_SEC", .type = kSeconds, .initial = "2", .least = 0,
       .unit = "s",
       .help = "how long a cancelled job may run on before a warning is logged", .use = kNotYet},
  };
}

std::vector<SettingDef> embeddings() {
  return {
      {.name = "ENABLE_EMBEDDING_BATCHING", .type = kBool, .initial = "1",
       .aliases = {"ENABLE_BATCHING"},
       .help = "run the texts of several requests in one device batch"},
      {.name = "EMBEDDING_BATCH_WINDOW_MS", .type = kMillis, .initial = "6",
       .aliases = {"BATCH_WINDOW_MS"}, .least = 0, .unit = "ms",
       .help = "longest wait for companions; 0 = none"},
      {.name = "EMBEDDING_BATCH_WINDOW_MAX_SIZE", .type = kInt,
       .fallbacks = {{"BATCH_MAX_SIZE", batch_max_size_is_for_embeddings}, {"MAX_BATCH_SIZE"}},
       .aliases = {"BATCH_WINDOW_MAX_SIZE"}, .least = 1, .most = kCountMax,
       .help = "texts per device batch"},
      {.name = "EMBEDDING_BATCH_MAX_TOKENS", .type = kInt, .initial = "4096", .least = 1,
       .most = kTokensMax,
       .help = "tokens per device batch; a longer single text runs alone"},
      {.name = "EMBEDDING_BATCH_QUEUE_SIZE", .type = kInt, .fallbacks = {{"MAX_QUEUE_SIZE"}},
       .aliases = {"BATCH_QUEUE_SIZE"}, .most = kCountMax, .floor = 1,
       .help = "queued requests per model"},
      {.name = "EMBEDDING_BATCH_QUEUE_TIMEOUT_SEC", .type = kSeconds,
       .fallbacks = {{"QUEUE_TIMEOUT_SEC"}}, .least = 0, .unit = "s",
       .help = "longest wait for room in that queue"},
      {.name = "EMBEDDING_CACHE_SIZE", .type = kInt, .initial = "256", .least = 0, .most = 1e8,
       .help = "cached vectors per model, least recently used leave first; 0 = no cache"},
      {.name = "EMBEDDING_USAGE_DISABLE_TOKEN_COUNT", .type = kBool, .initial = "0",
       .help = "report token usage as 0"},
      {.name = "EMBEDDING_GENERATE_TIMEOUT_SEC", .type = kSeconds, .initial = "60", .least = 0,
       .unit = "s", .help = "hard limit of an embedding or rerank request; over it: 504"},
      {.name = "EMBEDDING_TRUNCATE", .type = kBool, .initial = "1",
       .help = "cut texts longer than the model; 0: refuse them (400 context_length_exceeded)"},
  };
}

std::vector<SettingDef> chat() {
  return {
      {.name = "ENABLE_CHAT_BATCHING", .type = kBool, .initial = "1",
       .help = "decode several chats together; 0: one after the other"},
      {.name = "CHAT_BATCH_WINDOW_MS", .type = kMillis, .initial = "10", .least = 0, .unit = "ms",
       .help = "wait for company when nothing runs; later requests join at the next step"},
      {.name = "CHAT_BATCH_MAX_SIZE", .type = kInt, .initial = "8", .least = 1, .most = kCountMax,
       .help = "sequences decoding together, per model"},
      {.name = "CHAT_BATCH_QUEUE_SIZE", .type = kInt, .initial = "64", .most = kCountMax,
       .floor = 1, .help = "requests waiting per model; more: 429"},
      {.name = "CHAT_BATCH_ALLOW_VISION", .type = kBool, .initial = "0",
       .help = "let vision models batch their text-only requests", .use = kNotYet},
      {.name = "CHAT_BATCH_PROMPT_BUCKETING", .type = kBool, .initial = "0",
       .help = "prompts are never padded here, so lengths need no buckets", .use = kIgnored},
      {.name = "CHAT_BATCH_PROMPT_BUCKET_SIZE_TOKENS", .type = kInt, .initial = "256", .least = 1,
       .most = kTokensMax, .help = "see CHAT_BATCH_PROMPT_BUCKETING", .use = kIgnored},
      {.name = "CHAT_STEP_MAX_TOKENS", .type = kInt, .initial = "256", .least = 1,
       .most = kTokensMax,
       .help = "rows per device step: decoding sequences first, prompts fill the rest"},
      {.name = "CHAT_STEP_STRETCH", .type = kNumber, .initial = "2", .least = 0, .most = 100,
       .help = "a device step with decoding sequences may take so many times a step of theirs alone,"
               " for each prompt to compute; larger: prompts sooner, streams less even; 0 = no limit"},
      {.name = "CHAT_CONTEXT", .type = kInt, .initial = "0", .least = 0, .most = kTokensMax,
       .help = "tokens per sequence of models whose catalog entry says nothing; 0 = the model's,"
               " at most 8192"},
      {.name = "CHAT_KV_MEMORY_MB", .type = kInt, .initial = "0", .least = 0, .most = 1e9,
       .unit = "MB",
       .help = "cache of keys and values per model; 0 = the whole context of every sequence, at"
               " most a quarter of what is free"},
      {.name = "CHAT_KV_DTYPE", .type = kEnum, .initial = "auto",
       .choices = {"auto", "f32", "bf16", "int8"},
       .help = "element type of that cache; f32 goes with DTYPE f32, which takes no other"},
      {.name = "CHAT_PREFIX_CACHE", .type = kBool, .initial = "1",
       .help = "prompts that begin alike share cache, also after an answer has ended"},
      {.name = "CHAT_MAX_PROMPT_TOKENS", .type = kInt, .initial = "4096", .least = 1,
       .most = kTokensMax, .help = "longer prompts are refused (400)"},
      {.name = "CHAT_MAX_NEW_TOKENS", .type = kInt, .initial = "2048", .least = 1,
       .most = kTokensMax, .help = "larger requests are cut to it, not refused"},
      {.name = "MAX_NEW_TOKENS", .type = kInt, .initial = "512", .least = 1, .most = kTokensMax,
       .help = "when neither the request nor the model names a limit"},
      {.name = "CHAT_PREPARE_TIMEOUT_SEC", .type = kSeconds, .initial = "10", .least = 0,
       .unit = "s", .help = "limit of templating and tokenising; over it: 504"},
      {.name = "CHAT_GENERATE_TIMEOUT_SEC", .type = kSeconds, .initial = "60", .least = 0,
       .unit = "s", .help = "limit after preparation, queueing included; over it: 504"},
      {.name = "CHAT_QUEUE_MAX_WAIT_MS", .type = kMillis, .initial = "2000", .least = 0,
       .unit = "ms",
       .help = "oldest a queued request may be when its turn comes (429); 0 = any age"},
      {.name = "CHAT_STREAM_KEEP_ALIVE_SEC", .type = kSeconds, .initial = "15", .least = 0.1,
       .unit = "s", .help = "a comment is sent to a stream that was silent for so long"},
      {.name = "CHAT_REQUEUE_RETRIES", .type = kInt, .initial = "3", .least = 0, .most = kCountMax,
       .help = "how often a sequence may give its cache to others; 0 = no limit"},
      {.name = "CHAT_REQUEUE_BASE_DELAY_MS", .type = kMillis, .initial = "5", .least = 0,
       .unit = "ms", .help = "a sequence that gave way returns as soon as there is room",
       .use = kIgnored},
      {.name = "CHAT_REQUEUE_MAX_DELAY_MS", .type = kMillis, .initial = "100", .least = 0,
       .unit = "ms", .help = "see CHAT_REQUEUE_BASE_DELAY_MS", .use = kIgnored},
      {.name = "CHAT_REQUEUE_MAX_WAIT_MS", .type = kMillis, .initial = "2000", .least = 0,
       .unit = "ms", .help = "see CHAT_REQUEUE_BASE_DELAY_MS", .use = kIgnored},
      {.name = "CHAT_REQUEUE_MAX_TASKS", .type = kInt, .initial = "64", .least = 0,
       .most = kCountMax, .help = "see CHAT_REQUEUE_BASE_DELAY_MS", .use = kIgnored},
      {.name = "CHAT_OOM_COOLDOWN_SEC", .type = kSeconds, .initial = "300", .least = 0, .unit = "s",
       .help = "all memory is taken at start-up, so batches never have to shrink",
       .use = kIgnored},
      {.name = "CHAT_STRUCTURED_OUTPUT_MAX_RETRIES", .type = kInt, .initial = "1", .least = 0,
       .most = 100, .help = "answers are held to their schema token by token, so none is retried",
       .use = kIgnored},
      {.name = "CHAT_STRUCTURED_OUTPUT_WARN_ONLY", .type = kBool, .initial = "0",
       .help = "see CHAT_STRUCTURED_OUTPUT_MAX_RETRIES", .use = kIgnored},
  };
}

std::vector<SettingDef> inputs() {
  return {
      {.name = "MAX_BATCH_SIZE", .type = kInt, .initial = "32", .least = 1, .most = kCountMax,
       .help = "texts per embeddings request, documents per rerank request"},
      {.name = "MAX_TEXT_CHARS", .type = kInt, .initial = "20000", .least = 1, .most = 1e9,
       .help = "Unicode code points per text"},
      {.name = "TOKENIZE_MAX_CHARS", .type = kInt, .initial = "1000000", .least = 1, .most = 1e9,
       .help = "Unicode code points of all texts of a /tokenize request, or of the prompt that a "
               "conversation becomes there and in /apply-template; ids of a /detokenize request"},
      {.name = "PREDICT_MAX_BATCH_SIZE", .type = kInt, .initial = "100", .least = 1,
       .most = kCountMax, .help = "texts per /predict_batch request"},
      {.name = "RERANK_MAX_TOKENS", .type = kInt, .initial = "512", .least = 0, .most = kTokensMax,
       .help = "query and document together, the document is cut to it; 0 = the model's limit"},
      {.name = "MAX_AUDIO_BYTES", .type = kInt, .initial = "26214400", .least = 0,
       .most = kBytesMax, .unit = "bytes", .help = "largest upload; 0 = any", .use = kNotYet},
      {.name = "AUDIO_PROCESS_TIMEOUT_SEC", .type = kSeconds, .initial = "180", .least = 0,
       .unit = "s", .help = "limit of an audio request from the moment it has its slot",
       .use = kNotYet},
      {.name = "WHISPER_USE_SUBPROCESS", .type = kBool, .initial = "0",
       .help = "run speech recognition in a child process that can be ended", .use = kNotYet},
      {.name = "WHISPER_SUBPROCESS_POLL_INTERVAL_SEC", .type = kSeconds, .initial = "0.05",
       .least = 0, .unit = "s", .help = "how often the child is looked after", .use = kNotYet},
      {.name = "WHISPER_SUBPROCESS_MAX_WALL_SEC", .type = kSeconds, .initial = "0", .unit = "s",
       .help = "longest run of the child; 0 and below = no limit", .use = kNotYet},
      {.name = "WHISPER_SUBPROCESS_IDLE_SEC", .type = kSeconds, .initial = "0", .unit = "s",
       .help = "an idle child is dropped after this; 0 = never", .use = kNotYet},
      {.name = "ALLOW_REMOTE_IMAGES", .type = kBool, .initial = "0",
       .help = "fetch images by http(s), from REMOTE_IMAGE_HOST_ALLOWLIST only", .use = kNotYet},
      {.name = "REMOTE_IMAGE_HOST_ALLOWLIST", .type = kList,
       .help = "exact host names; none = no remote images", .use = kNotYet},
      {.name = "REMOTE_IMAGE_TIMEOUT", .type = kSeconds, .initial = "5", .least = 0, .unit = "s",
       .help = "limit of fetching one image", .use = kNotYet},
      {.name = "MAX_REMOTE_IMAGE_BYTES", .type = kInt, .initial = "5242880", .least = 0,
       .most = kBytesMax, .unit = "bytes",
       .help = "largest image, data: URLs included; 0 = any", .use = kNotYet},
      {.name = "REMOTE_IMAGE_MIME_ALLOWLIST", .type = kList,
       .initial = "image/png,image/jpeg,image/webp,image/gif",
       .help = "accepted image types; `*` = any", .use = kNotYet},
  };
}

std::vector<SettingDef> upstreams() {
  return {
      {.name = "OPENAI_BASE_URL", .initial = "https://api.openai.com/v1",
       .help = "where OpenAI proxy models send requests", .use = kNotYet},
      {.name = "OPENAI_API_KEY", .help = "bearer token sent there", .use = kNotYet, .secret = true},
      {.name = "OPENAI_PROXY_TIMEOUT_SEC", .type = kSeconds, .initial = "60", .least = 0.001,
       .unit = "s", .help = "limit of each connect and each gap between bytes", .use = kNotYet},
      {.name = "VLLM_BASE_URL",
       .help = "where vLLM proxy models without a URL of their own send requests", .use = kNotYet},
      {.name = "VLLM_API_KEY", .help = "bearer token sent there", .use = kNotYet, .secret = true},
      {.name = "VLLM_PROXY_TIMEOUT_SEC", .type = kSeconds, .initial = "60", .least = 0.001,
       .unit = "s", .help = "limit of each connect and each gap between bytes", .use = kNotYet},
  };
}

std::vector<SettingDef> warmup() {
  return {
      {.name = "ENABLE_WARMUP", .type = kBool, .initial = "1",
       .help = "run every model once before traffic is accepted; a failure ends the start"},
      {.name = "WARMUP_BATCH_SIZE", .type = kInt, .initial = "1", .least = 1, .most = kCountMax,
       .help = "texts per warm-up batch"},
      {.name = "WARMUP_STEPS", .type = kInt, .initial = "1", .least = 1, .most = 1000,
       .help = "warm-up runs"},
      {.name = "WARMUP_INFERENCE_MODE", .type = kBool, .initial = "1",
       .help = "there is no other mode here", .use = kIgnored},
      {.name = "WARMUP_VRAM_BUDGET_MB", .type = kInt, .initial = "0", .least = 0, .most = 1e9,
       .unit = "MB", .help = "device memory warm-up may fill; 0 = what is free", .use = kNotYet},
      {.name = "WARMUP_VRAM_PER_WORKER_MB", .type = kInt, .initial = "1024", .least = 1,
       .most = 1e9, .unit = "MB", .help = "device memory counted per warm-up worker",
       .use = kNotYet},
      {.name = "WARMUP_ALLOWLIST", .type = kList,
       .help = "only these models are warmed up; none = all"},
      {.name = "WARMUP_SKIPLIST", .type = kList, .help = "these models are not warmed up"},
  };
}

std::vector<SettingDef> observability() {
  return {
      {.name = "ENABLE_METRICS", .type = kBool, .initial = "1",
       .help = "0: /metrics answers 404"},
      {.name = "LOG_LEVEL", .type = kEnum, .initial = "INFO",
       .choices = {"DEBUG", "INFO", "WARNING", "WARN", "ERROR", "CRITICAL", "OFF"},
       .help = "least level that is logged"},
      {.name = "LOG_FORMAT", .type = kEnum, .initial = "json", .choices = {"json", "text"},
       .help = "one JSON object per line, or lines for people"},
      {.name = "ENABLE_STRUCTURED_LOGGING", .type = kBool, .initial = "1",
       .help = "see LOG_FORMAT", .use = kIgnored},
      {.name = "ENABLE_TRACING", .type = kBool, .initial = "1",
       .help = "send traces to OTLP_ENDPOINT, where there is one"},
      {.name = "OTLP_ENDPOINT", .aliases = {"OTEL_EXPORTER_OTLP_ENDPOINT"},
       .help = "collector of traces, OTLP over HTTP: http://localhost:4318; empty: no tracing"},
      {.name = "TRACE_SAMPLE_RATIO", .type = kNumber, .initial = "1", .least = 0, .most = 1,
       .help = "share of requests that are traced, where the caller did not decide"},
  };
}

std::vector<SettingDef> http() {
  return {
      {.name = "HOST", .initial = "0.0.0.0", .help = "address to listen on"},
      {.name = "PORT", .type = kInt, .initial = "8000", .least = 0, .most = 65535,
       .help = "port to listen on; 0 = any free one"},
      {.name = "IO_THREADS", .type = kInt, .initial = "2", .least = 1, .most = 256,
       .help = "threads that serve sockets"},
      {.name = "MAX_CONNECTIONS", .type = kInt, .initial = "20000", .least = 1, .most = kCountMax,
       .help = "open connections; more are answered 503 and closed"},
      {.name = "MAX_HEADER_BYTES", .type = kInt, .initial = "65536", .least = 1024,
       .most = 16777216, .unit = "bytes", .help = "request line and headers; more: 431"},
      {.name = "MAX_BODY_BYTES", .type = kInt, .initial = "67108864", .least = 1024,
       .most = kBytesMax, .unit = "bytes",
       .help = "request body, also after decompression; more: 413"},
      {.name = "MAX_BODIES_BYTES", .type = kInt, .initial = "1073741824", .least = 65536,
       .most = kBytesMax, .unit = "bytes",
       .help = "memory of all request bodies above 4 KiB that are held at once; more: 503"},
      {.name = "HEADER_TIMEOUT_SEC", .type = kSeconds, .initial = "15", .least = 0.001, .unit = "s",
       .help = "limit from a request's first byte to the end of its headers: 408"},
      {.name = "BODY_GAP_TIMEOUT_SEC", .type = kSeconds, .initial = "15", .least = 0.001,
       .unit = "s", .help = "longest pause inside a body: 408"},
      {.name = "BODY_TIMEOUT_SEC", .type = kSeconds, .initial = "60", .least = 0.001, .unit = "s",
       .help = "a whole body takes at most so long, or one BODY_GAP_TIMEOUT_SEC if that is more: 408"},
      {.name = "IDLE_TIMEOUT_SEC", .type = kSeconds, .initial = "75", .least = 0.001, .unit = "s",
       .help = "an unused connection is closed after this"},
      {.name = "WRITE_TIMEOUT_SEC", .type = kSeconds, .initial = "30", .least = 0.001, .unit = "s",
       .help = "a reader that takes nothing for so long is dropped"},
      {.name = "DRAIN_TIMEOUT_SEC", .type = kSeconds, .initial = "5", .least = 0, .unit = "s",
       .help = "after SIGTERM requests in progress may take so long; then they end with an error"},
      {.name = "COMPRESS_MIN_BYTES", .type = kInt, .initial = "1024", .least = 0, .most = kBytesMax,
       .unit = "bytes", .help = "smaller answers are not compressed"},
      {.name = "CORS_ORIGINS", .type = kList, .initial = "*",
       .help = "origins browsers may call from; their scripts may read all headers of this server"},
      {.name = "TLS_CERT_FILE", .type = kPath,
       .help = "PEM certificate chain; with TLS_KEY_FILE turns TLS on"},
      {.name = "TLS_KEY_FILE", .type = kPath, .help = "PEM private key"},
      {.name = "STRICT_REQUEST_FIELDS", .type = kBool, .initial = "0",
       .help = "refuse unknown fields in request bodies (400)"},
  };
}

std::vector<SettingDef> access() {
  return {
      {.name = "API_KEYS",
       .help = "who may ask: a file of keys, a list in [..] or NAME:SHA256 pairs, see"
               " docs/api-keys.md; not set: everybody",
       .secret = true},
      {.name = "METRICS_API_KEY", .help = "bearer token of /metrics; not set: open",
       .secret = true},
      {.name = "RATE_LIMITS_FILE", .type = kPath,
       .help = "limits per client and per endpoint, see docs/rate-limits.md"},
      {.name = "RATE_LIMIT_CLIENTS_MAX", .type = kInt, .initial = "10000", .least = 1, .most = 1e7,
       .help = "addresses whose requests are counted; the one unseen for longest is forgotten"},
      {.name = "TRUSTED_PROXIES", .type = kList,
       .help = "addresses and networks whose X-Forwarded-For is believed"},
  };
}

std::vector<SettingDef> engine() {
  return {
      {.name = "DTYPE", .type = kEnum, .initial = "auto",
       .choices = {"auto", "f32", "bf16", "int8", "int4"},
       .help = "element type of models whose catalog entry names none"},
      {.name = "SELFTEST", .type = kEnum, .initial = "strict", .choices = {"strict", "warn", "off"},
       .help = "what to do when a model's tokenizer or chat template differs from its"
               " sis-selftest.json: refuse the model, log it, or do not compare"},
      {.name = "CPU_ISA", .type = kEnum, .initial = "auto",
       .choices = {"auto", "ref", "avx2", "avx512", "avx512_bf16", "amx"},
       .help = "best CPU instructions to use"},
      {.name = "CPU_THREADS", .type = kInt, .initial = "0", .least = 0, .most = 4096,
       .help = "compute threads; 0 = all cores"},
      {.name = "PREP_THREADS", .type = kInt, .initial = "1", .least = 1, .most = 4096,
       .help = "threads that parse large bodies, tokenise and decode media"},
      {.name = "SIS_DATA_DIR", .type = kPath,
       .help = "folder that holds the demo models; not set: ./demo, then beside the program"},
  };
}

std::vector<SettingDef> mock() {
  constexpr double kUsMax = 60e6;
  return {
      {.name = "MOCK", .type = kBool, .initial = "0",
       .help = "serve mock-chat and mock-embed, models without weights, instead of MODELS"},
      {.name = "MOCK_PREFILL_US_PER_TOKEN", .type = kNumber, .initial = "0", .least = 0,
       .most = kUsMax, .unit = "us", .help = "a mock's time for a token of a prompt"},
      {.name = "MOCK_DECODE_US_PER_STEP", .type = kNumber, .initial = "0", .least = 0,
       .most = kUsMax, .unit = "us", .help = "a mock's time for a step in which answers grow"},
      {.name = "MOCK_DECODE_US_PER_ROW", .type = kNumber, .initial = "0", .least = 0,
       .most = kUsMax, .unit = "us", .help = "and for each answer that grows in it"},
      {.name = "MOCK_EMBED_US_PER_BATCH", .type = kNumber, .initial = "0", .least = 0,
       .most = kUsMax, .unit = "us", .help = "a mock's time for a batch of texts"},
      {.name = "MOCK_EMBED_US_PER_TOKEN", .type = kNumber, .initial = "0", .least = 0,
       .most = kUsMax, .unit = "us", .help = "and for each token in it"},
      {.name = "MOCK_JITTER", .type = kNumber, .initial = "0", .least = 0, .most = 1,
       .help = "a mock's times vary by this fraction up and down"},
      {.name = "MOCK_FAILURE_RATE", .type = kNumber, .initial = "0", .least = 0, .most = 1,
       .help = "fraction of a mock's forward passes that fail as a broken engine would"},
      {.name = "MOCK_MEMORY_MB", .type = kNumber, .initial = "0", .least = 0, .most = 1 << 20,
       .unit = "MiB", .help = "memory a mock holds, as weights would"},
      {.name = "MOCK_SEED", .type = kNumber, .initial = "42", .least = 0, .most = 9e15,
       .help = "of a mock's jitter and failures"},
  };
}

std::vector<SettingDef> infer_routes() {
  return {
      {.name = "BATCH_MAX_SIZE", .type = kInt, .initial = "32", .least = 1, .most = kCountMax,
       .help = "requests per /v1/infer batch, 1 = run directly; while those routes are off, an old"
               " name of EMBEDDING_BATCH_WINDOW_MAX_SIZE"},
      {.name = "BATCH_FLUSH_TIMEOUT_MS", .type = kMillis, .initial = "20", .least = 0, .unit = "ms",
       .help = "wait before a partial batch runs", .use = kNotYet},
      {.name = "CACHE_BACKEND", .type = kEnum, .initial = "memory", .choices = {"memory", "redis"},
       .help = "where responses are cached; while Redis cannot be had, in memory"},
      {.name = "REDIS_URL", .help = "redis://[[user]:password@]host[:port][/db]", .secret = true},
      {.name = "REDIS_TIMEOUT_MS", .type = kMillis, .initial = "50", .least = 1, .most = 60000,
       .unit = "ms", .help = "longest a request waits for Redis; then it goes on without"},
      {.name = "CACHE_DEFAULT_TTL", .type = kSeconds, .initial = "3600", .least = 0,
       .most = 31536000, .unit = "s", .help = "life of a cached response; 0 = none is kept"},
      {.name = "CACHE_MAX_SIZE", .type = kInt, .initial = "10000", .least = 0, .most = 1e8,
       .help = "responses in the memory cache, least recently used leave first; 0 = none"},
      {.name = "CACHE_MAX_BYTES", .type = kInt, .initial = "268435456", .least = 0,
       .most = kBytesMax, .unit = "bytes", .help = "their size together"},
      {.name = "CACHE_ENTRY_MAX_BYTES", .type = kInt, .initial = "1048576", .least = 0,
       .most = kRedisValueMax, .unit = "bytes", .help = "larger responses are not cached"},
      {.name = "CACHE_PROMPT_FORM", .type = kEnum, .initial = "exact",
       .choices = {"exact", "trimmed", "lowercase"},
       .help = "what /v1/infer prompts may differ in and still share a response: nothing, white"
               " space at the ends, also the case of ASCII letters"},
      {.name = "RESPONSE_CACHE_CHAT", .type = kBool, .initial = "0",
       .help = "cache chats whose answer is certain: temperature 0, one choice, not streamed"},
      {.name = "RATE_LIMIT_BACKEND", .type = kEnum, .fallbacks = {{"CACHE_BACKEND"}},
       .choices = {"memory", "redis"},
       .help = "where requests are counted: in each process, or in REDIS_URL for all processes; while"
               " Redis cannot be had, in each process"},
      {.name = "RATE_LIMIT_RPM", .type = kInt, .initial = "600", .least = 1, .most = 1e9,
       .help = "requests per client and window; not set: /v1/infer only"},
      {.name = "RATE_LIMIT_WINDOW_SEC", .type = kSeconds, .initial = "60", .least = 0.001,
       .unit = "s", .help = "length of the sliding window"},
      {.name = "CIRCUIT_BREAKER_FAILURE_THRESHOLD", .type = kInt, .initial = "5", .least = 1,
       .most = kCountMax, .help = "failures in a row that open a model's breaker"},
      {.name = "CIRCUIT_BREAKER_TIMEOUT_SEC", .type = kSeconds, .initial = "60", .least = 0,
       .unit = "s", .help = "how long it stays open before a probe"},
      {.name = "TRUTHGPT_API_TOKEN", .initial = "changeme",
       .help = "bearer token of /v1/infer; the placeholder only works with ENVIRONMENT=development",
       .secret = true},
      {.name = "TRUTHGPT_CONFIG", .type = kPath,
       .help = "configuration of the /v1/infer routes", .use = kNotYet},
      {.name = "TRUTHGPT_MODEL", .initial = "gpt2",
       .help = "model of /v1/infer when a request names none", .use = kNotYet},
      {.name = "ENVIRONMENT", .initial = "production",
       .help = "development allows placeholder secrets"},
      {.name = "WEBHOOK_HMAC_SECRET", .initial = "changeme-secret",
       .help = "key of /webhooks/ingest signatures; same rule for the placeholder",
       .secret = true},
      {.name = "WEBHOOK_TIMESTAMP_WINDOW", .type = kSeconds, .initial = "300", .least = 0,
       .unit = "s", .help = "largest clock difference of a webhook"},
      {.name = "IDEMPOTENCY_TTL_SEC", .type = kSeconds, .initial = "3600", .least = 0, .unit = "s",
       .help = "how long answers are kept for requests sent again with their key"},
      {.name = "IDEMPOTENCY_MAX_ENTRIES", .type = kInt, .initial = "10000", .least = 0,
       .most = 1e7, .help = "keys remembered per kind of route, oldest leave first; 0 = none"},
      {.name = "MODEL_URI",
       .help = "classification model of /predict, served beside MODELS: a name of the catalog, a"
               " folder or a file:// URL; not set: the first loaded"},
      {.name = "SERVICE_NAME", .initial = "sis", .help = "service_name in /health"},
  };
}
// clang-format on

}  // namespace

std::vector<SettingDef> settings_rows() {
  const std::pair<const char*, std::vector<SettingDef> (*)()> groups[] = {
      {"Models and device", models_and_device},
      {"Admission", admission},
      {"Embeddings", embeddings},
      {"Chat", chat},
      {"Input limits, audio, images", inputs},
      {"Upstreams", upstreams},
      {"Warm-up", warmup},
      {"Observability", observability},
      {"HTTP", http},
      {"Access", access},
      {"Engine", engine},
      {"Inference API, classification, cache, rate limit", infer_routes},
      {"Mock models", mock},
  };
  std::vector<SettingDef> rows;
  for (const auto& [group, make] : groups)
    for (SettingDef& def : make()) {
      def.group = group;
      rows.push_back(std::move(def));
    }
  return rows;
}

}  // namespace sis::server
