#include "serve/server/app_options.h"

#include "base/strings.h"
#include "serve/api/surface.h"
#include "serve/server/settings_table.h"

namespace sis::server {
namespace {

// Every header of ours that a page's script could want: browsers hide what is not named, and leave
// `*` out where a request has credentials.
constexpr const char* kExposedHeaders =
    "X-Request-ID, X-Response-Time, Server-Timing, traceresponse, X-Cache, Idempotent-Replayed, "
    "Retry-After, retry-after-ms, x-should-retry, WWW-Authenticate, Allow, "
    "x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests, "
    "x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens";

}  // namespace

Result<Isa> choose_isa(const Settings& settings) {
  const std::string& word = settings.text("CPU_ISA");
  if (word == "auto") return detect_isa();
  const auto isa = parse_isa(word);
  if (!isa || *isa > detect_isa())
    return Error{Code::kInvalidArgument,
                 concat("CPU_ISA (", settings.source_of("CPU_ISA"), "): this machine has ",
                        isa_name(detect_isa()), ", not ", in_quotes(word))};
  return *isa;
}

Status check_device(const Settings& settings) {
  const std::string& device = settings.text("MODEL_DEVICE");
  if (device == "auto" || device == "cpu") return {};
  return Error{
      Code::kInvalidArgument,
      concat("MODEL_DEVICE (", settings.source_of("MODEL_DEVICE"),
             "): want auto or cpu (this build has no other device), got ", in_quotes(device))};
}

net::ServerOptions server_options(const Settings& settings) {
  net::ServerOptions options;
  options.address = settings.text("HOST");
  options.port = static_cast<uint16_t>(settings.integer("PORT"));
  options.io_threads = static_cast<int>(settings.integer("IO_THREADS"));
  options.header_bytes_max = static_cast<size_t>(settings.integer("MAX_HEADER_BYTES"));
  options.body_bytes_max = static_cast<size_t>(settings.integer("MAX_BODY_BYTES"));
  options.bodies_bytes_max = static_cast<size_t>(settings.integer("MAX_BODIES_BYTES"));
  options.connections_max = static_cast<int>(settings.integer("MAX_CONNECTIONS"));
  options.header_timeout = settings.duration("HEADER_TIMEOUT_SEC");
  options.idle_timeout = settings.duration("IDLE_TIMEOUT_SEC");
  options.body_gap_timeout = settings.duration("BODY_GAP_TIMEOUT_SEC");
  options.body_timeout = settings.duration("BODY_TIMEOUT_SEC");
  options.write_timeout = settings.duration("WRITE_TIMEOUT_SEC");
  options.compress_bytes_min = static_cast<size_t>(settings.integer("COMPRESS_MIN_BYTES"));
  options.cors_origins = settings.list("CORS_ORIGINS");
  options.cors_exposed = kExposedHeaders;
  options.tls_certificate_file = settings.text("TLS_CERT_FILE");
  options.tls_key_file = settings.text("TLS_KEY_FILE");
  options.render_error = [](int status, const std::string& message, const std::string& path) {
    return api::surface_status(path, status, message);
  };
  return options;
}

admission::GateOptions gate_options(const Settings& settings, const GateNames& names, bool slots) {
  admission::GateOptions options{
      .capability = names.capability, .queue_setting = names.queue_size, .limits = {}};
  options.limits.tickets_max = static_cast<int32_t>(settings.integer(names.queue_size));
  if (!slots) return options;
  options.limits.slots_max = static_cast<int32_t>(settings.integer(names.concurrent));
  options.limits.wait_max = settings.duration(names.timeout);
  return options;
}

api::EmbeddingsOptions embeddings_options(const Settings& settings) {
  api::EmbeddingsOptions options;
  options.limits = {.texts_max = settings.integer("MAX_BATCH_SIZE"),
                    .text_chars_max = settings.integer("MAX_TEXT_CHARS"),
                    .strict_fields = settings.flag("STRICT_REQUEST_FIELDS"),
                    .truncate = settings.flag("EMBEDDING_TRUNCATE")};
  options.count_tokens = !settings.flag("EMBEDDING_USAGE_DISABLE_TOKEN_COUNT");
  return options;
}

api::ScoreOptions score_options(const Settings& settings) {
  return {.texts_max = settings.integer("MAX_BATCH_SIZE"),
          .text_chars_max = settings.integer("MAX_TEXT_CHARS"),
          .predict_texts_max = settings.integer("PREDICT_MAX_BATCH_SIZE"),
          .rerank_tokens_max = static_cast<int32_t>(settings.integer("RERANK_MAX_TOKENS")),
          .strict_fields = settings.flag("STRICT_REQUEST_FIELDS"),
          .count_tokens = !settings.flag("EMBEDDING_USAGE_DISABLE_TOKEN_COUNT")};
}

api::ChatOptions chat_options(const Settings& settings) {
  api::ChatOptions options;
  options.generation = {.keep_alive = settings.duration("CHAT_STREAM_KEEP_ALIVE_SEC")};
  options.strict_fields = settings.flag("STRICT_REQUEST_FIELDS");
  options.prompts_max = settings.integer("MAX_BATCH_SIZE");
  return options;
}

namespace {

api::IdempotencyOptions idempotency_options(const Settings& settings) {
  return {.ttl = settings.duration("IDEMPOTENCY_TTL_SEC"),
          .entries_max = static_cast<size_t>(settings.integer("IDEMPOTENCY_MAX_ENTRIES"))};
}

}  // namespace

api::InferOptions infer_options(const Settings& settings) {
  api::InferOptions options;
  options.idempotency = idempotency_options(settings);
  options.generation = chat_options(settings).generation;
  return options;
}

api::WebhookOptions webhook_options(const Settings& settings) {
  api::WebhookOptions options;
  const std::string& secret = settings.text("WEBHOOK_HMAC_SECRET");
  if (!is_placeholder_secret(secret) || iequals(settings.text("ENVIRONMENT"), "development"))
    options.secret = secret;
  options.timestamp_window = settings.duration("WEBHOOK_TIMESTAMP_WINDOW");
  options.idempotency = idempotency_options(settings);
  return options;
}

double unix_seconds() {
  return to_seconds(
      std::chrono::duration_cast<Duration>(std::chrono::system_clock::now().time_since_epoch()));
}

}  // namespace sis::server
