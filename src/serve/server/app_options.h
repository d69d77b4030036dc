// What the settings say about the parts of the server, as these want to hear it.
#pragma once

#include "base/result.h"
#include "base/settings.h"
#include "infer/ops/context.h"
#include "net/http_server.h"
#include "serve/admission/gate.h"
#include "serve/api/infer/infer.h"
#include "serve/api/openai/chat.h"
#include "serve/api/openai/embeddings.h"
#include "serve/api/predict/score_call.h"
#include "serve/api/webhook/webhook.h"

namespace sis::server {

// CPU_ISA, which this machine must have.
Result<Isa> choose_isa(const Settings& settings);
// MODEL_DEVICE must be one that this build has.
Status check_device(const Settings& settings);
net::ServerOptions server_options(const Settings& settings);
// The settings of one capability's gate.
struct GateNames {
  const char* capability;
  const char* queue_size;
  const char *concurrent = nullptr, *timeout = nullptr;  // null: it never has slots
};
inline constexpr GateNames kEmbeddingGate{"embedding", "EMBEDDING_MAX_QUEUE_SIZE",
                                          "EMBEDDING_MAX_CONCURRENT",
                                          "EMBEDDING_QUEUE_TIMEOUT_SEC"};
inline constexpr GateNames kChatGate{"chat", "CHAT_MAX_QUEUE_SIZE", "CHAT_MAX_CONCURRENT",
                                     "CHAT_QUEUE_TIMEOUT_SEC"};
inline constexpr GateNames kTextGate{"text preparation", "TEXT_MAX_QUEUE_SIZE"};
// `slots`: nothing batches its work, so each request takes one of `concurrent`.
admission::GateOptions gate_options(const Settings& settings, const GateNames& names, bool slots);
api::EmbeddingsOptions embeddings_options(const Settings& settings);
api::ScoreOptions score_options(const Settings& settings);
api::ChatOptions chat_options(const Settings& settings);
api::InferOptions infer_options(const Settings& settings);
api::WebhookOptions webhook_options(const Settings& settings);
double unix_seconds();  // the wall clock

}  // namespace sis::server
