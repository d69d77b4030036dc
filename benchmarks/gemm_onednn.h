// oneDNN's matrix product behind the shape of our own, for gemm_bench.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "infer/ops/linear.h"

namespace sis {

// `copies` packed copies of one weight matrix and a product with `rows` rows. bf16 x bf16 -> bf16,
// or s8 x s8 -> s32 (bare) and -> bf16 or f32 with scales per column (fused); rows are taken as
// already quantised.
class OneDnnProduct {
 public:
  struct Options {
    DType type = DType::kBf16;  // kBf16 or kI8
    int64_t rows = 0, in = 0, out = 0;
    int copies = 1;
    bool fused = false;  // with bias, activation and residual as below
    bool gelu = false;
    bool residual = false;  // y is f32 and is added to
  };
  OneDnnProduct(const Options& options, std::span<const float> weights, std::span<const float> x);
  ~OneDnnProduct();
  void run(int copy);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

const char* onednn_version();

}  // namespace sis
