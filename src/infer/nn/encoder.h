// What a model family of encoders offers the engine: token ids in, one state per token out.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "infer/ops/context.h"
#include "infer/tensor/mat.h"

namespace sis::nn {

// Ragged token sequences: sequence s owns ids[offsets[s]] .. ids[offsets[s+1]-1], at least one
// each.
struct RaggedBatch {
  std::span<const int32_t> ids;
  std::span<const int32_t> offsets;  // sequences + 1, from 0 to ids.size()
  std::span<const int32_t> types;    // token types (which text of a pair); empty: all 0

  int64_t tokens() const { return static_cast<int64_t>(ids.size()); }
  int64_t sequences() const { return static_cast<int64_t>(offsets.size()) - 1; }
};

struct EncoderInfo {
  std::string family;   // "bert", "xlm-roberta"
  std::string kernels;  // variants in use, for the start-up log: "amx_bf16"
  int32_t hidden = 0;
  int32_t layers = 0;
  int32_t vocab = 0;
  int32_t tokens_max = 0;     // longest sequence the position table allows
  int32_t types = 1;          // token types there are
  int64_t linear_params = 0;  // multiplied per token, for operation counts
  int64_t weights_bytes = 0;  // packed weights plus the mapped tables
};

class Encoder {
 public:
  virtual ~Encoder() = default;
  virtual const EncoderInfo& info() const = 0;
  // False: it is broken, and its lane waits until it is not. Any thread.
  virtual bool ready() const { return true; }

  // states [tokens, hidden] f32. Ids must be inside the vocabulary and sequences within tokens_max
  // (checked by the caller). A sequence's states are the same bits alone and in company. One call
  // at a time per context. An exception means that the device failed: the batch is lost.
  virtual void forward(ops::Context& context, const RaggedBatch& batch,
                       Mat<float> states) const = 0;

  // Floating-point operations of one forward over sequences of these lengths: 2 per weight and
  // token, and 4 * length * hidden per token and layer for attention.
  double flops(std::span<const int32_t> offsets) const {
    double total = 0;
    for (size_t s = 0; s + 1 < offsets.size(); ++s) {
      const double tokens = offsets[s + 1] - offsets[s];
      total += tokens * (2.0 * static_cast<double>(info().linear_params) +
                         4.0 * tokens * info().hidden * info().layers);
    }
    return total;
  }
};

}  // namespace sis::nn
