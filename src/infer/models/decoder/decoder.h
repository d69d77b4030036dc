// Decoders of the Llama kind: pre-norm, rotary positions, grouped-query attention, gated
// feed-forward. config.h lists the families.
#pragma once

#include <memory>

#include "infer/models/decoder/config.h"
#include "infer/nn/decoder.h"
#include "infer/nn/encoder.h"
#include "infer/weights/source.h"

namespace sis::models::decoder {

// Both take the source over: the embedding table stays mapped, all else is packed and its pages let
// go.

// `kv` is the cache's type: kF32 where compute is kF32, else kBf16 or kI8.
Result<std::unique_ptr<nn::Decoder>> load(const Config& config,
                                          std::unique_ptr<weights::WeightSource> source,
                                          DType compute, DType kv, Isa isa, ThreadTeam& team);

// The same graph as an encoder: final states of every token, nothing cached (Qwen3-Embedding,
// EmbeddingGemma).
Result<std::unique_ptr<nn::Encoder>> load_encoder(const Config& config,
                                                  std::unique_ptr<weights::WeightSource> source,
                                                  DType compute, Isa isa, ThreadTeam& team);

}  // namespace sis::models::decoder
