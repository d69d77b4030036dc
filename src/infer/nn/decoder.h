// What a model family of decoders offers the engine: new tokens in, logits of some rows out, keys
// and values kept in a paged cache that the engine owns.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "infer/ops/decoder_ops.h"

namespace sis::nn {

struct DecoderInfo {
  std::string family;   // "llama", "qwen3", "gemma3_text"
  std::string kernels;  // variants in use, for the start-up log: "amx_bf16"
  int32_t hidden = 0;
  int32_t layers = 0;
  int32_t heads = 0;
  int32_t head_dim = 0;
  int32_t vocab = 0;          // logits per row
  int32_t tokens_max = 0;     // longest sequence the positions allow
  int64_t linear_params = 0;  // multiplied per token, without the head
  int64_t head_params = 0;    // multiplied per row of logits
  int64_t step_bytes = 0;     // weights read once per step, head included
  int64_t weights_bytes = 0;  // packed weights plus the mapped tables
};

// One step: the rows of `sequences` lie one after another in `ids`.
struct DecoderBatch {
  std::span<const int32_t> ids;
  std::span<const ops::KvRows> sequences;
  std::span<const int32_t> logit_rows;  // rows of `ids` whose logits are wanted, ascending
};

class Decoder {
 public:
  virtual ~Decoder() = default;
  virtual const DecoderInfo& info() const = 0;
  // False: it is broken, and its lane waits until it is not. Any thread.
  virtual bool ready() const { return true; }
  // Of its cache. The engine allocates blocks of layout.block_bytes(), zeroed once.
  virtual kernels::KvLayout kv_layout() const = 0;

  // Writes the batch's keys and values into `cache`, then logits [logit_rows, vocab] f32. Ids are
  // inside the vocabulary, blocks inside the cache and exclusively writable where new tokens go
  // (checked by the caller). A row's logits are the same bits alone and in company, in one step or
  // several. One call at a time per context. An exception means that the device failed: the step
  // is lost, and what it wrote to the cache is not to be used.
  virtual void forward(ops::Context& context, const DecoderBatch& batch, ops::KvView cache,
                       Mat<float> logits) const = 0;
};

}  // namespace sis::nn
