// y = act(x · Wᵀ + b) [+ residual], with the weights packed once for the machine it runs on; gated:
// y = act(x · Gᵀ + g) * (x · Wᵀ + w).
//
// Weights come as the checkpoint stores them, [out, in] in any float type. pack() converts them to
// the compute type in the chosen variant's own layout; the source is not needed afterwards.
//
//   compute f32   x, W, sums f32
//   compute bf16  x, W bf16, sums f32
//   compute int8  x bf16 in; quantised per row (token) on the fly, W per output channel, sums
//   int32.
//                 Outliers are kept apart, so that one loud channel does not silence the rest.
//                 Weights whose values lie so unevenly that rounding them would change them by more
//                 than kInt8RoundingMax (relative, root mean square) are computed in bf16 instead.
//   compute int4  as int8, but W in 4.5 bits: groups of 32 along `in` share a step and a shift
//                 (gemm.h), chosen for the least change of the weights. Groups of 32 because 4.25
//                 bits with 64 change normal weights by 8.4 % instead of 7.3 %. Above
//                 kInt4RoundingMax the weights are computed in int8 instead.
//
// Every output element is summed in an order that does not depend on how many rows are in the call:
// a row's result is the same bits alone and in company. forward() does not allocate beyond the
// workspace.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/result.h"
#include "infer/ops/context.h"
#include "infer/ops/weight_arena.h"
#include "infer/tensor/mat.h"

namespace sis::ops {

// Evenly spread weights lose 0.7 to 0.9 % to int8.
inline constexpr double kInt8RoundingMax = 0.0105;
// Normal weights lose 7.3 % to int4, those with heavier tails up to 9.5 %.
inline constexpr double kInt4RoundingMax = 0.10;

enum class Activation : uint8_t { kNone, kGelu /* erf */, kGeluTanh, kRelu, kSilu };

class Linear {
 public:
  // One or more [out_i, in] weights stacked along out (fused QKV); biases as many, or none at all.
  // `compute` is kF32, kBf16, kI8 or kI4. The layers of a model take their memory from one `arena`,
  // which may go before them; without it from the system, each its own. kInvalidArgument when
  // shapes disagree or a value is not finite.
  static Result<Linear> pack(std::span<const WeightView> weights,
                             std::span<const WeightView> biases, DType compute, Isa isa,
                             ThreadTeam& team, WeightArena* arena = nullptr);
  // The same with two weights of one shape, the gate's and what it gates, and two biases or none.
  static Result<Linear> pack_gated(std::span<const WeightView> weights,
                                   std::span<const WeightView> biases, DType compute, Isa isa,
                                   ThreadTeam& team, WeightArena* arena = nullptr);
  Linear();
  ~Linear();
  Linear(Linear&&) noexcept;
  Linear& operator=(Linear&&) noexcept;

  int64_t in() const;
  int64_t out() const;     // columns of y
  int64_t params() const;  // without biases
  DType compute() const;  // what pack() was asked for, or the next wider where that rounds too much
  int64_t bytes() const;  // packed weights, scales and bias
  const char* variant() const;  // "amx_bf16", "avx2_f32", ... for the start-up log

  // x [rows, in], y [rows, out]; x and y may not overlap. `residual` [rows, out] is added in f32
  // after the activation and may be y itself; gated products take none. Computing in f32 wants f32
  // x, all others want bf16 x.
  struct Call {
    Activation activation = Activation::kNone;
    Mat<const float> residual = {};  // empty: none
  };
  void forward(Context& context, Mat<const float> x, const Call& call, Mat<float> y) const;
  void forward(Context& context, Mat<const bf16> x, const Call& call, Mat<float> y) const;
  void forward(Context& context, Mat<const bf16> x, const Call& call, Mat<bf16> y) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sis::ops
