#include "infer/kernels/gemm_pack.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "base/check.h"

namespace sis::gemm {
namespace {

constexpr int64_t kHalfCols = 16;
constexpr int64_t kWordsPerTile = 16;  // 4 bytes each

uint32_t magnitude_bits(float x) { return std::bit_cast<uint32_t>(x) & 0x7FFFFFFF; }

// Row `r` of the stack as f32. False where a value is not finite.
bool read_row(std::span<const WeightView> weights, int64_t r, std::vector<float>& row) {
  size_t i = 0;
  while (r >= weights[i].rows) r -= weights[i++].rows;
  const WeightView& w = weights[i];
  row.resize(static_cast<size_t>(w.cols));
  if (w.dtype == DType::kBf16) {  // the usual case, spelt so that it becomes vector code
    const char* source = static_cast<const char*>(w.data) + r * w.cols * 2;
    for (int64_t c = 0; c < w.cols; ++c) {
      uint16_t bits;
      std::memcpy(&bits, source + c * 2, 2);
      row[static_cast<size_t>(c)] = std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
    }
  } else {
    w.row_to(r, row.data());
  }
  uint32_t largest = 0;
  for (const float x : row) largest = magnitude_bits(x) > largest ? magnitude_bits(x) : largest;
  return largest < 0x7F800000;
}

void words_f32(const std::vector<float>& row, uint32_t* words) {
  std::memcpy(words, row.data(), row.size() * 4);
}

bool words_bf16(const std::vector<float>& row, uint32_t* words) {
  auto* out = reinterpret_cast<char*>(words);
  bool finite = true;
  for (size_t c = 0; c < row.size(); ++c) {
    const bf16 x(row[c]);
    finite &= (x.bits & 0x7F80) != 0x7F80;  // the largest f32 round to infinity
    std::memcpy(out + c * 2, &x.bits, 2);
  }
  return finite;
}

void words_int8(PackScratch& scratch, uint32_t* words, float& scale, int32_t& sum) {
  const std::vector<float>& row = scratch.row;
  float largest = 0;
  for (const float x : row) largest = std::fabs(x) > largest ? std::fabs(x) : largest;
  scale = 0, sum = 0;
  if (largest < 0x1p-100f) return;
  scale = largest / 127.0f;
  const float inverse = 127.0f / largest;
  auto* out = reinterpret_cast<int8_t*>(words);
  for (size_t c = 0; c < row.size(); ++c) {
    // Adding 1.5 * 2^23 rounds to nearest even.
    const auto q = static_cast<int32_t>(row[c] * inverse + 12582912.0f - 12582912.0f);
    out[c] = static_cast<int8_t>(q);
    sum += q;
  }
  float squares = 0, error_squares = 0;
  for (size_t c = 0; c < row.size(); ++c) {
    const float w = row[c] * inverse, error = w - static_cast<float>(out[c]);  // in steps
    squares += w * w;
    error_squares += error * error;
  }
  scratch.squares += static_cast<double>(squares) * scale * scale;
  scratch.error_squares += static_cast<double>(error_squares) * scale * scale;
}

}  // namespace

int64_t k_tiles_of(DType compute, int64_t in) {
  const int64_t per_tile = kTileBytes / dtype_bytes(compute);
  return (in + per_tile - 1) / per_tile;
}

int64_t pack_block(std::span<const WeightView> weights, const PackTarget& target, int64_t block,
                   PackScratch& scratch) {
  const int64_t row_words = target.k_tiles * kWordsPerTile;
  int64_t bad = -1;
  for (int64_t half = 0; half < 2; ++half) {
    const int64_t first = block * kBlockCols + half * kHalfCols;
    scratch.words.assign(static_cast<size_t>(kHalfCols * row_words), 0);
    for (int64_t c = 0; c < kHalfCols && first + c < target.out; ++c) {
      const int64_t r = first + c;
      uint32_t* words = scratch.words.data() + c * row_words;
      bool finite = read_row(weights, r, scratch.row);
      switch (target.compute) {
        case DType::kF32:
          words_f32(scratch.row, words);
          break;
        case DType::kBf16:
          finite &= words_bf16(scratch.row, words);
          break;
        case DType::kI8:
          if (finite) words_int8(scratch, words, target.scale[r], target.sums[r]);
          break;
        default:
          SIS_CHECK(false, "no products in ", dtype_name(target.compute));
      }
      if (!finite && bad < 0) bad = r;
    }
    // Sixteen rows of words become lines of sixteen columns.
    for (int64_t tile = 0; tile < target.k_tiles; ++tile) {
      auto* lines = reinterpret_cast<uint32_t*>(
          target.tiles + ((block * target.k_tiles + tile) * 2 + half) * kHalfBytes);
      const uint32_t* words = scratch.words.data() + tile * kWordsPerTile;
      for (int64_t r = 0; r < kWordsPerTile; ++r)
        for (int64_t c = 0; c < kHalfCols; ++c) lines[r * kHalfCols + c] = words[c * row_words + r];
    }
  }
  return bad;
}

}  // namespace sis::gemm
