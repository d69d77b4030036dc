// `sis generate --bench`: prefill and decode speed of the engine, beside the machine's walls.
#pragma once

#include "local_chat.h"

namespace sis::apps {

struct GenerateBenchOptions {
  int32_t prompt_tokens = 512;
  int32_t new_tokens = 64;
  std::vector<int> batches = {1, 8, 32};
  int rounds = 3;
  uint64_t seed = 1;
};

// Prints one row per batch size to stdout; exit status.
int run_generate_bench(LocalChatOptions model, const GenerateBenchOptions& options);

}  // namespace sis::apps
