// From a checkpoint folder to an embedding model that can run: family, head, tokenizer and their
// limits together.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "infer/engine/device_executor.h"
#include "serve/tasks/embed_model.h"

namespace sis::server {

// What stands on top of the encoder.
enum class EmbedHead : uint8_t {
  kEmbedding,       // pooling, as sentence-transformers' files say
  kClassification,  // the checkpoint's sequence-classification head
  kRerank,          // the same, or a decoder that answers yes or no (score_head.h)
};

struct EmbedLoadOptions {
  std::string name;
  std::string folder;
  EmbedHead head = EmbedHead::kEmbedding;
  std::string dtype =
      "auto";  // f32, bf16, int8, int4; auto: bf16 where the CPU multiplies it, else f32
  std::optional<ops::Pooling>
      pooling;  // instead of the checkpoint's own; the vectors are then normalised
  bool any_dimensions = false;
  std::vector<int32_t> dimensions_allowed;
};

// "f32", "bf16", "int8", "int4" or "auto" on a machine of this level; kInvalidArgument for another
// word.
Result<DType> choose_dtype(const std::string& word, Isa isa);

// The encoder alone.
Result<std::unique_ptr<nn::Encoder>> load_encoder(const EmbedLoadOptions& options,
                                                  engine::DeviceExecutor& executor);

// Packs on the executor's thread. Errors name the file and what is wrong with it.
Result<tasks::EmbedModel> load_embed_model(const EmbedLoadOptions& options,
                                           engine::DeviceExecutor& executor);

}  // namespace sis::server
