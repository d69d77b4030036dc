// What the settings say about the parts of the server, as these want to hear it.
#pragma once

#include "base/result.h"
#include "base/settings.h"
#include "infer/ops/context.h"
#include "net/http_server.h"
#include "serve/api/openai/chat.h"
#include "serve/api/openai/embeddings.h"
#include "serve/api/predict/score_call.h"

namespace sis::server {

// CPU_ISA, which this machine must have.
Result<Isa> choose_isa(const Settings& settings);
// MODEL_DEVICE must be one that this build has.
Status check_device(const Settings& settings);
net::ServerOptions server_options(const Settings& settings);
api::EmbeddingsOptions embeddings_options(const Settings& settings);
api::ScoreOptions score_options(const Settings& settings);
api::ChatOptions chat_options(const Settings& settings);

}  // namespace sis::server
