// Packed matrix products: y = act(x · Wᵀ + b) + residual, one kernel per element type and CPU
// level.
//
// Gated products are y = act(x · Gᵀ + g) * (x · Wᵀ + w). A block is then 16 columns of G and the
// same 16 of W, so that the sums of both are there together.
//
// Weights lie in blocks of 32 output columns. Inside a block K runs in tiles of 64 bytes per column
// (16 f32, 32 bf16 or 64 int8 elements), and a tile is two halves of 16 lines: line r of half h
// holds, for each of 16 columns, the 4 bytes of K that start at byte 4 r of the tile. That is the
// order AMX loads (VNNI), it is one contiguous stream per block, and the vector kernels read it as
// well:
//
//   byte(block, tile, h, r, column, b) = ((block * k_tiles + tile) * 2 + h) * 1024 + r * 64 +
//   column * 4 + b
//
// K is padded with zeros to whole tiles, the columns to whole blocks.
//
// int4 weights are int8 weights kept in 4.5 bits: 32 elements of K of a column, a group, are
// n * step - shift with n in [0, 15], step in [0, 17] and shift in [0, 128], every one a value of
// int8. With the int8 scale of the column on top the products are those of int8, integers to the
// end, and all variants give the same bits. A tile's half is then 576 bytes: for both groups of its
// 64 elements, 16 columns of {step, shift} as bytes, then 8 lines of n, line r with line r of the
// first group in the low and of the second group (line r + 8) in the high nibbles.
//
// int8 products sum integers, so every variant gives the same bits. A row of x becomes q = round(x
// / s) with s = threshold / 127. The threshold is the row's largest magnitude, or where few
// elements are far above the others, the largest of these others. Elements above the
// threshold ("outliers") do not fit into one int8: they are written as 128 * high + low, low stays
// in the row and the high digits are kept apart and added in the epilogue. Nothing is cut off,
// whichever elements are loud.
//
// Plain data only: this header is included by files compiled for different CPUs, so it holds no
// inline functions that the linker could share between them.
#pragma once

#include <cstdint>

namespace sis::gemm {

enum class Act : uint8_t { kNone, kGelu, kGeluTanh, kRelu, kSilu };

enum : int64_t {
  kBlockCols = 32,    // output columns of a block
  kTileBytes = 64,    // bytes of K in a tile, per column or row
  kHalfBytes = 1024,  // 16 lines of 64 bytes
  kPanelRows = 32,    // rows of x prepared together
  kOutliersMax = 16,  // high digits a row may have
  kGroup = 32,        // int4: elements of K with one step
  kInt4StepMax = 17,  // 15 * 17 is the largest byte
  kInt4ShiftMax = 128,
  kInt4StepBytes = 64,  // {step, shift} of a half
  kInt4HalfBytes = kInt4StepBytes + 512,
};

struct Weights {
  const uint8_t* tiles = nullptr;
  int64_t in = 0, out = 0;  // columns of x and y
  bool gated = false;       // no residual
  int64_t k_tiles = 0, blocks = 0;
  int64_t prepared_stride =
      0;  // bytes of a prepared row: an odd number of lines, which spreads rows over cache sets
  const float* bias = nullptr;    // [blocks * 32], zeros where there is none
  const float* scale = nullptr;   // [blocks * 32], int8 and int4: W = q * scale
  const int32_t* sums = nullptr;  // [blocks * 32], int8 and int4: sum of q over the padded K
  bool int4 = false;              // how q is stored
};

// A quantised row: x = q * scale, and how many of its elements have a high digit.
struct RowScale {
  float scale;
  int32_t loud;
};
// The high digits of one row.
struct HighDigits {
  int32_t column[kOutliersMax];
  float digit[kOutliersMax];  // integers in [-127, 127]
};

// One product over `rows` rows. x is f32 for f32 kernels and bf16 bits for the others.
struct Product {
  Weights weights;
  const void* x = nullptr;
  int64_t x_stride = 0;  // elements, as all strides here
  int64_t rows = 0;
  // Scratch that prepare() fills and multiply() reads.
  uint8_t* prepared = nullptr;    // weights.prepared_stride per row, rows rounded up to a panel
  RowScale* row_scale = nullptr;  // [rows], int8 and int4
  HighDigits* high = nullptr;     // [rows], int8 and int4
  // y [rows, out]; may be the residual.
  Act act = Act::kNone;
  const float* residual = nullptr;  // or null
  int64_t residual_stride = 0;
  void* y = nullptr;
  int64_t y_stride = 0;
  bool y_bf16 = false;
};

struct Kernel {
  // Copies rows [begin, end) of x into the order multiply() wants (int8, int4: quantises them).
  // `begin` is a multiple of 32. Null where multiply() reads x as it is.
  void (*prepare)(const Product& product, int64_t begin, int64_t end);
  // Rows [row_begin, row_end) times blocks [block_begin, block_end). row_begin is a multiple of 32.
  // `scratch` is this worker's own, 64-byte aligned.
  void (*multiply)(const Product& product, int64_t row_begin, int64_t row_end, int64_t block_begin,
                   int64_t block_end, uint8_t* scratch);
  // Of one worker.
  int64_t (*scratch_bytes)(const Weights& weights);
  // `in` must be a multiple of this; otherwise `other` does it.
  int64_t in_multiple;
  const Kernel* other;
};

namespace ref {
extern const Kernel kF32, kBf16, kInt8, kInt4;
}
namespace avx2 {
extern const Kernel kF32, kBf16, kInt8, kInt4;
}
namespace avx512 {
extern const Kernel kF32, kBf16, kInt8, kInt4;
}
namespace avx512_bf16 {
extern const Kernel kBf16, kInt8, kInt4;
}
namespace amx {
extern const Kernel kBf16, kInt8, kInt4;
}

}  // namespace sis::gemm
