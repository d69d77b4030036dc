#include "infer/kernels/gemm_pack.h"

#include <algorithm>
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

// A group of int4: v = n * step - shift.
struct GroupFit {
  float step = 0, shift = 0, error = 0;
};

// n of every value; the error is the sum of squares.
GroupFit fit_group(const float (&v)[kGroup], float step, float shift, float (&n)[kGroup]) {
  const float inverse = 1.0f / step;
  const float top = std::min(15.0f, std::floor((127.0f + shift) * inverse));
  float errors[8] = {};
  for (int64_t i = 0; i < kGroup; i += 8)
    for (int64_t j = 0; j < 8; ++j) {
      float x = (v[i + j] + shift) * inverse;
      x = x < 0.0f ? 0.0f : x;
      x = x > top ? top : x;
      x = x + 12582912.0f - 12582912.0f;  // 1.5 * 2^23: rounds to nearest even
      n[i + j] = x;
      const float error = x * step - shift - v[i + j];
      errors[j] += error * error;
    }
  float error = 0;
  for (const float e : errors) error += e;
  return {step, shift, error};
}

GroupFit best_fit(const float (&v)[kGroup], float (&n)[kGroup]) {
  float low = 0, high = 0;  // 0 is always in the range, so shift is never negative
  for (const float x : v) {
    low = x < low ? x : low;
    high = x > high ? x : high;
  }
  const float widest = std::clamp(std::ceil((high - low) / 15.0f), 1.0f, float{kInt4StepMax});
  GroupFit best;
  best.error = -1;
  float tried[kGroup];
  // Values clipped at the ends may cost less than a wider step.
  for (float step = widest; step >= 1.0f && step >= widest - 1.0f; --step) {
    const float from_low = std::round(-low), from_high = std::round(15.0f * step - high);
    const float shifts[] = {from_low, from_high, std::round((from_low + from_high) / 2),
                            from_low - 1.0f, from_low + 1.0f};
    for (const float wanted : shifts) {
      const float shift = std::clamp(wanted, 0.0f, float{kInt4ShiftMax});
      const GroupFit fit = fit_group(v, step, shift, tried);
      if (best.error >= 0 && fit.error >= best.error) continue;
      best = fit;
      std::memcpy(n, tried, sizeof tried);
    }
  }
  return best;
}

// n of the row as bytes in the order of int8; {step, shift} of its groups into `steps`.
void words_int4(PackScratch& scratch, int64_t groups, uint32_t* words, uint8_t* steps, float& scale,
                int32_t& sum) {
  const std::vector<float>& row = scratch.row;
  float largest = 0;
  for (const float x : row) largest = std::fabs(x) > largest ? std::fabs(x) : largest;
  scale = 0, sum = 0;
  if (largest < 0x1p-100f) return;
  scale = largest / 127.0f;
  const float inverse = 127.0f / largest;
  auto* out = reinterpret_cast<uint8_t*>(words);
  const auto count = static_cast<int64_t>(row.size());
  double squares = 0, error_squares = 0;
  for (int64_t g = 0; g < groups; ++g) {
    float v[kGroup] = {}, n[kGroup];
    for (int64_t i = 0; i < kGroup && g * kGroup + i < count; ++i) {
      v[i] = row[static_cast<size_t>(g * kGroup + i)] * inverse;
      squares += double{v[i]} * v[i];
    }
    const GroupFit fit = best_fit(v, n);
    error_squares += fit.error;
    steps[2 * g] = static_cast<uint8_t>(fit.step);
    steps[2 * g + 1] = static_cast<uint8_t>(fit.shift);
    int32_t n_sum = 0;
    for (int64_t i = 0; i < kGroup; ++i) {
      out[g * kGroup + i] = static_cast<uint8_t>(n[i]);
      n_sum += static_cast<int32_t>(n[i]);
    }
    sum +=
        n_sum * static_cast<int32_t>(fit.step) - int32_t{kGroup} * static_cast<int32_t>(fit.shift);
  }
  scratch.squares += squares * scale * scale;
  scratch.error_squares += error_squares * scale * scale;
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
  const int64_t row_words = target.k_tiles * kWordsPerTile,
                half_bytes = half_bytes_of(target.compute);
  const int64_t groups = target.k_tiles * 2, row_steps = groups * 2;
  int64_t bad = -1;
  for (int64_t half = 0; half < 2; ++half) {
    const int64_t first = block * kBlockCols + half * kHalfCols;
    scratch.words.assign(static_cast<size_t>(kHalfCols * row_words), 0);
    scratch.steps.assign(static_cast<size_t>(kHalfCols * row_steps), 0);
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
        case DType::kI4:
          if (finite)
            words_int4(scratch, groups, words, scratch.steps.data() + c * row_steps,
                       target.scale[r], target.sums[r]);
          break;
        default:
          SIS_CHECK(false, "no products in ", dtype_name(target.compute));
      }
      if (!finite && bad < 0) bad = r;
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
