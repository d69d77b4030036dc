// What a mock model costs and how it misbehaves. Plain numbers, as settings and catalog give them.
#pragma once

namespace sis::models {

struct MockOptions {
  double prefill_us_per_token = 0;  // decoders: every row of a prompt
  double decode_us_per_step = 0;    // of a step in which any sequence decodes
  double decode_us_per_row = 0;     // and for each sequence that does
  double embed_us_per_batch = 0;    // encoders
  double embed_us_per_token = 0;
  double jitter = 0;        // each wait is multiplied by 1 - jitter .. 1 + jitter, evenly
  double failure_rate = 0;  // of forwards, 0..1: they wait, then throw
  double memory_mb = 0;     // held and touched while the model is loaded
  double seed = 42;         // of jitter and failures; a whole number
};

}  // namespace sis::models
