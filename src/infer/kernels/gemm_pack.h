// Weights from a checkpoint's [out, in] rows into the blocks gemm.h describes.
//
//   f32   as they are
//   bf16  rounded to nearest even
//   int8  per output column: scale = max |W| / 127, q = round(W / scale); a column below 2^-100
//   counts as zeros
//   int4  int8's scale per output column; then per group of 32 the step and shift, among a few near
//         the range of its values, that change the values least (sum of squares)
//
// Blocks are independent: the caller spreads them over its workers.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "infer/kernels/gemm.h"
#include "infer/tensor/mat.h"

namespace sis::gemm {

// Tiles of 64 bytes that `in` elements of `compute` (f32, bf16, int8, int4) take.
int64_t k_tiles_of(DType compute, int64_t in);
// Bytes of half a tile: 16 columns.
int64_t half_bytes_of(DType compute);

struct PackTarget {
  DType compute = DType::kF32;
  int64_t in = 0, out = 0, k_tiles = 0;
  bool gated = false;  // two weights of `out` rows each, 16 of each in a block
  uint8_t* tiles = nullptr;
  float* scale = nullptr;   // int8 and int4
  int32_t* sums = nullptr;  // int8 and int4
};

// Scratch of one worker, kept between blocks.
struct PackScratch {
  std::vector<float> row;
  std::vector<uint32_t> words;
  std::vector<uint8_t> steps;  // int4: {step, shift} of 16 columns, column after column
  // int8 and int4: sums over all rows packed with this scratch, of W^2 and of what rounding
  // changed, squared.
  double squares = 0, error_squares = 0;
};

// Packs block `block`: output columns [32 * block, 32 * block + 32) of `weights`, stacked along
// out, or where gated columns [16 * block, ...) of each of two. Returns the first row
// (counted over all weights) with a value that is not finite in `compute`, or -1.
int64_t pack_block(std::span<const WeightView> weights, const PackTarget& target, int64_t block,
                   PackScratch& scratch);

}  // namespace sis::gemm
