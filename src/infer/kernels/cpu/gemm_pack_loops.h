// The loops of gemm_pack_rows.h in plain C++, which the compiler turns into vectors of the CPU
// level it is called for. Sums are kept in 16 lanes, so that every level adds in the same order.
//
// In an unnamed namespace on purpose, see gemm_simd.h.
#pragma once

#include "infer/kernels/gemm_pack_rows.h"

namespace sis::gemm {
namespace {

constexpr int64_t kLanes = 16;
constexpr float kRoundMagic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to nearest even

uint32_t largest_of(const float* row, int64_t count) {
  uint32_t largest = 0;
  for (int64_t i = 0; i < count; ++i) {
    uint32_t bits;
    __builtin_memcpy(&bits, row + i, 4);
    bits &= 0x7FFFFFFF;
    largest = bits > largest ? bits : largest;
  }
  return largest;
}

bool row_to_bf16(const float* row, int64_t count, uint16_t* to) {
  uint32_t most = 0;
  for (int64_t i = 0; i < count; ++i) {
    uint32_t bits;
    __builtin_memcpy(&bits, row + i, 4);
    const uint32_t rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
    to[i] = static_cast<uint16_t>(rounded);
    most = (rounded & 0x7FFF) > most ? rounded & 0x7FFF : most;
  }
  return most < 0x7F80;
}

float sum_of(const float (&lanes)[kLanes]) {
  float sum = 0;
  for (const float lane : lanes) sum += lane;
  return sum;
}

// False for a row that counts as zeros.
bool scale_row(const float* row, int64_t count, RoundedRow& rounded, float& inverse) {
  const float largest = __builtin_bit_cast(float, largest_of(row, count));
  if (largest < 0x1p-100f) return false;
  rounded.scale = largest / 127.0f;
  inverse = 127.0f / largest;
  return true;
}

void set_squares(RoundedRow& rounded, double squares, double error_squares) {
  rounded.squares = squares * rounded.scale * rounded.scale;
  rounded.error_squares = error_squares * rounded.scale * rounded.scale;
}

RoundedRow row_to_int8(const float* row, int64_t count, int8_t* to) {
  RoundedRow rounded;
  float inverse;
  if (!scale_row(row, count, rounded, inverse)) return rounded;
  float squares[kLanes] = {}, errors[kLanes] = {};
  for (int64_t i = 0; i < count; i += kLanes)
    for (int64_t j = 0; j < kLanes; ++j) {
      const float v = row[i + j] * inverse, q = v + kRoundMagic - kRoundMagic;
      to[i + j] = static_cast<int8_t>(static_cast<int32_t>(q));
      squares[j] += v * v;
      errors[j] += (v - q) * (v - q);
    }
  for (int64_t i = 0; i < count; ++i) rounded.sum += to[i];
  set_squares(rounded, sum_of(squares), sum_of(errors));
  return rounded;
}

// Sixteen groups side by side, one in each lane: element i of group j is v[i][j].
struct Groups {
  float v[kGroup][kLanes];
};
struct Fits {
  float step[kLanes], shift[kLanes], error[kLanes];
};

inline float smaller(float a, float b) { return a < b ? a : b; }
inline float larger(float a, float b) { return a > b ? a : b; }
inline float rounded_to(float x, float top) {
  return smaller(larger(x, 0.0f), top) + kRoundMagic - kRoundMagic;
}
// The largest n that keeps n * step - shift an int8.
inline float top_of(float step, float shift) {
  return smaller(__builtin_floorf((127.0f + shift) / step), 15.0f);
}

// Takes the steps and shifts where they change the values less than the best so far.
inline void try_fits(const Groups& groups, const float (&step)[kLanes],
                     const float (&shift)[kLanes], Fits& best) {
  float inverse[kLanes], top[kLanes], errors[kLanes] = {};
  for (int64_t j = 0; j < kLanes; ++j) {
    inverse[j] = 1.0f / step[j];
    top[j] = top_of(step[j], shift[j]);
  }
  for (int64_t i = 0; i < kGroup; ++i)
    for (int64_t j = 0; j < kLanes; ++j) {
      const float v = groups.v[i][j];
      const float error = rounded_to((v + shift[j]) * inverse[j], top[j]) * step[j] - shift[j] - v;
      errors[j] += error * error;
    }
  for (int64_t j = 0; j < kLanes; ++j) {
    const bool better = errors[j] < best.error[j];
    best.step[j] = better ? step[j] : best.step[j];
    best.shift[j] = better ? shift[j] : best.shift[j];
    best.error[j] = better ? errors[j] : best.error[j];
  }
}

// The best of a few fits near the range of each group.
inline void fit_groups(const Groups& groups, Fits& best) {
  float low[kLanes] = {}, high[kLanes] = {};  // 0 is in the range, so shift is never negative
  for (int64_t i = 0; i < kGroup; ++i)
    for (int64_t j = 0; j < kLanes; ++j) {
      low[j] = smaller(groups.v[i][j], low[j]);
      high[j] = larger(groups.v[i][j], high[j]);
    }
  for (float& error : best.error) error = 1e30f;
  // A narrower step clips values at the ends, which may cost less than it gains.
  for (const float narrower : {0.0f, 1.0f}) {
    float step[kLanes], from_low[kLanes], from_high[kLanes];
    for (int64_t j = 0; j < kLanes; ++j) {
      const float widest = __builtin_ceilf((high[j] - low[j]) / 15.0f);
      step[j] = smaller(larger(widest - narrower, 1.0f), kInt4StepMax);
      from_low[j] = __builtin_floorf(0.5f - low[j]);
      from_high[j] = __builtin_floorf(15.0f * step[j] - high[j] + 0.5f);
    }
    const auto attempt = [&](float low_part, float add) {
      float shift[kLanes];
      for (int64_t j = 0; j < kLanes; ++j) {
        const float wanted = from_low[j] * low_part + from_high[j] * (1.0f - low_part);
        shift[j] = smaller(larger(__builtin_floorf(wanted) + add, 0.0f), kInt4ShiftMax);
      }
      try_fits(groups, step, shift, best);
    };
    attempt(1.0f, 0.0f);
    attempt(1.0f, -1.0f);
    attempt(1.0f, 1.0f);
    attempt(0.0f, 0.0f);
    attempt(0.5f, 0.0f);
  }
}

RoundedRow row_to_int4(const float* row, int64_t count, uint8_t* to, uint8_t* steps) {
  RoundedRow rounded;
  float inverse;
  if (!scale_row(row, count, rounded, inverse)) return rounded;
  const int64_t groups_max = count / kGroup;
  float squares[kLanes] = {};
  double error_squares = 0;
  for (int64_t first = 0; first < groups_max; first += kLanes) {
    const int64_t here = groups_max - first < kLanes ? groups_max - first : kLanes;
    Groups groups = {};
    for (int64_t j = 0; j < here; ++j)
      for (int64_t i = 0; i < kGroup; ++i) groups.v[i][j] = row[(first + j) * kGroup + i] * inverse;
    for (const auto& v : groups.v)
      for (int64_t j = 0; j < kLanes; ++j) squares[j] += v[j] * v[j];
    Fits fits;
    fit_groups(groups, fits);
    for (int64_t j = 0; j < here; ++j) {
      const float step = fits.step[j], shift = fits.shift[j];
      const float in_steps = 1.0f / step, top = top_of(step, shift);
      const float* from = row + (first + j) * kGroup;
      uint8_t* bytes = to + (first + j) * kGroup;
      int32_t sum = 0;
      for (int64_t i = 0; i < kGroup; ++i) {
        const auto n =
            static_cast<int32_t>(rounded_to((from[i] * inverse + shift) * in_steps, top));
        bytes[i] = static_cast<uint8_t>(n);
        sum += n;
      }
      steps[(first + j) * 2] = static_cast<uint8_t>(step);
      steps[(first + j) * 2 + 1] = static_cast<uint8_t>(shift);
      rounded.sum += sum * static_cast<int32_t>(step) -
                     static_cast<int32_t>(kGroup) * static_cast<int32_t>(shift);
      error_squares += fits.error[j];
    }
  }
  set_squares(rounded, sum_of(squares), error_squares);
  return rounded;
}

}  // namespace
}  // namespace sis::gemm
