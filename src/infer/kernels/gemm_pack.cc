#include "infer/kernels/gemm_pack.h"

#include <bit>
#include <cstring>

#include "base/check.h"
#include "infer/kernels/gemm_pack_rows.h"

namespace sis::gemm {
namespace {

constexpr int64_t kHalfCols = 16;
constexpr int64_t kWordsPerTile = 16;  // 4 bytes each

// Row `r` of the stack as f32 into `row`, which is longer and keeps its zeros.
void read_row(std::span<const WeightView> weights, int64_t r, std::vector<float>& row) {
  size_t i = 0;
  while (r >= weights[i].rows) r -= weights[i++].rows;
  const WeightView& w = weights[i];
  if (w.dtype == DType::kBf16) {  // the usual case, spelt so that it becomes vector code
    const char* source = static_cast<const char*>(w.data) + r * w.cols * 2;
    float* to = row.data();
    for (int64_t c = 0; c < w.cols; ++c) {
      uint16_t bits;
      std::memcpy(&bits, source + c * 2, 2);
      to[c] = std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
    }
  } else {
    w.row_to(r, row.data());
  }
}

void keep(const RoundedRow& rounded, int64_t column, const PackTarget& target,
          PackScratch& scratch) {
  target.scale[column] = rounded.scale;
  target.sums[column] = rounded.sum;
  scratch.squares += rounded.squares;
  scratch.error_squares += rounded.error_squares;
}

// Sixteen rows of words to lines of sixteen columns: one tile's half.
void lines_of(const uint32_t* words, int64_t row_words, uint32_t* lines) {
  for (int64_t r = 0; r < kWordsPerTile; ++r)
    for (int64_t c = 0; c < kHalfCols; ++c) lines[r * kHalfCols + c] = words[c * row_words + r];
}

void lines_int4(const uint32_t* words, int64_t row_words, const uint8_t* steps, int64_t row_steps,
                uint8_t* half) {
  for (int64_t group = 0; group < 2; ++group)
    for (int64_t c = 0; c < kHalfCols; ++c)
      std::memcpy(half + group * 32 + c * 2, steps + c * row_steps + group * 2, 2);
  uint32_t lines[kHalfBytes / 4];
  lines_of(words, row_words, lines);
  auto* both = reinterpret_cast<uint32_t*>(half + kInt4StepBytes);
  for (int64_t i = 0; i < kHalfBytes / 8; ++i) both[i] = lines[i] | lines[kHalfBytes / 8 + i] << 4;
}

}  // namespace

int64_t k_tiles_of(DType compute, int64_t in) {
  const int64_t per_tile = compute == DType::kI4 ? kTileBytes : kTileBytes / dtype_bytes(compute);
  return (in + per_tile - 1) / per_tile;
}

int64_t half_bytes_of(DType compute) {
  return compute == DType::kI4 ? int64_t{kInt4HalfBytes} : int64_t{kHalfBytes};
}

int64_t pack_block(std::span<const WeightView> weights, const PackTarget& target, int64_t block,
                   PackScratch& scratch) {
  static const PackRows& rows = *choose(kPackRowsVariants, detect_isa()).fn;
  const int64_t row_bytes = target.k_tiles * kTileBytes, half_bytes = half_bytes_of(target.compute);
  const int64_t row_words = row_bytes / 4 + kWordsPerTile;  // one line more: other cache sets
  const int64_t row_steps = target.k_tiles * 4;
  const int64_t count =
      target.compute == DType::kI4 ? row_bytes : row_bytes / dtype_bytes(target.compute);
  scratch.row.resize(static_cast<size_t>(count));
  int64_t bad = -1;
  for (int64_t half = 0; half < 2; ++half) {
    const int64_t weight = target.gated ? half : 0;
    const auto stack = target.gated ? weights.subspan(static_cast<size_t>(weight), 1) : weights;
    const int64_t first = target.gated ? block * kHalfCols : block * kBlockCols + half * kHalfCols;
    scratch.words.assign(static_cast<size_t>(kHalfCols * row_words), 0);
    scratch.steps.assign(static_cast<size_t>(kHalfCols * row_steps), 0);
    for (int64_t c = 0; c < kHalfCols && first + c < target.out; ++c) {
      const int64_t r = first + c, column = block * kBlockCols + half * kHalfCols + c;
      uint32_t* words = scratch.words.data() + c * row_words;
      read_row(stack, r, scratch.row);
      const float* row = scratch.row.data();
      bool finite = rows.largest(row, count) < 0x7F800000;
      switch (target.compute) {
        case DType::kF32:
          std::memcpy(words, row, static_cast<size_t>(row_bytes));
          break;
        case DType::kBf16:
          // The largest f32 round to infinity.
          finite = finite && rows.to_bf16(row, count, reinterpret_cast<uint16_t*>(words));
          break;
        case DType::kI8:
          if (finite)
            keep(rows.to_int8(row, count, reinterpret_cast<int8_t*>(words)), column, target,
                 scratch);
          break;
        case DType::kI4:
          if (finite)
            keep(rows.to_int4(row, count, reinterpret_cast<uint8_t*>(words),
                              scratch.steps.data() + c * row_steps),
                 column, target, scratch);
          break;
        default:
          SIS_CHECK(false, "no products in ", dtype_name(target.compute));
      }
      if (!finite && bad < 0) bad = weight * target.out + r;
    }
    for (int64_t tile = 0; tile < target.k_tiles; ++tile) {
      uint8_t* to = target.tiles + ((block * target.k_tiles + tile) * 2 + half) * half_bytes;
      const uint32_t* words = scratch.words.data() + tile * kWordsPerTile;
      if (target.compute == DType::kI4) {
        lines_int4(words, row_words, scratch.steps.data() + tile * 4, row_steps, to);
      } else {
        lines_of(words, row_words, reinterpret_cast<uint32_t*>(to));
      }
    }
  }
  return bad;
}

}  // namespace sis::gemm
