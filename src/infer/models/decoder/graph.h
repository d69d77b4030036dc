// The graph itself, shared by the decoder and the encoder made of it.
#pragma once

#include <span>

#include "infer/models/decoder/rope.h"
#include "infer/models/decoder/weights.h"
#include "infer/nn/decoder.h"

namespace sis::models::decoder {

class Graph {
 public:
  Graph(const Config& config, Weights weights, DType compute);

  const Config& config() const { return config_; }
  const Weights& weights() const { return weights_; }
  DType compute() const { return compute_; }
  std::string kernels() const;    // for the start-up log
  int64_t linear_params() const;  // multiplied per token, without the head
  int64_t linear_bytes() const;   // read per step, without the head

  // h [tokens, hidden]: embeddings of `ids`, then all layers, not the final norm. Layer l uses
  // layer `cached_layer(l)` of the cache: l, or 0 where the cache has only one.
  void run(ops::Context& context, std::span<const int32_t> ids,
           std::span<const ops::KvRows> sequences, ops::KvView cache, Mat<float> h) const;

 private:
  template <class T>
  void run_as(ops::Context& context, std::span<const int32_t> ids,
              std::span<const ops::KvRows> sequences, ops::KvView cache, Mat<float> h) const;

  const Config config_;
  const Weights weights_;
  const DType compute_;
  const Frequencies rope_, local_rope_;
};

}  // namespace sis::models::decoder
