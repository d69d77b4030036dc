// Cosines and sines of positions.
#pragma once

#include "infer/kernels/cpu/row_vectors.h"

#include "infer/kernels/decoder_rows.h"

namespace sis::kernels {
namespace {

constexpr int kFrequenciesMax = kDecoderHeadDimMax / 2;

// Cosine and sine of the angles of one position, f32 products with `frequency`, times `factor`:
// reduced and summed in double, so that they are right to the last bit but one at any position.
// `count` a multiple of kLanes.
SIS_INLINE void turn_angles(float position, const float* frequency, int count, float factor,
                            float* cosine, float* sine) {
  constexpr int kTogether = kLanes / 2;
  using Floats [[gnu::vector_size(4 * kTogether)]] = float;
  using Doubles [[gnu::vector_size(8 * kTogether)]] = double;
  using Bits [[gnu::vector_size(8 * kTogether)]] = int64_t;
  constexpr double kTwoOverPi = 0.63661977236758134308;
  constexpr double kHalfPiHigh = 1.5707963267948966, kHalfPiLow = 6.123233995736766e-17;
  constexpr double kMagic = 6755399441055744.0;  // 1.5 * 2^52: adding it rounds to an integer
  for (int i = 0; i < count; i += kTogether) {
    Floats f;
    __builtin_memcpy(&f, frequency + i, sizeof f);
    f *= position;
    const Doubles angle = __builtin_convertvector(f, Doubles);
    const Doubles rounded = angle * kTwoOverPi + kMagic, whole = rounded - kMagic;
    const Doubles r = (angle - whole * kHalfPiHigh) - whole * kHalfPiLow, q = r * r;
    const Doubles s =
        r + r * q *
                (-1.0 / 6 +
                 q * (1.0 / 120 + q * (-1.0 / 5040 + q * (1.0 / 362880 - q * (1.0 / 39916800)))));
    const Doubles c =
        1 +
        q * (-0.5 + q * (1.0 / 24 + q * (-1.0 / 720 + q * (1.0 / 40320 - q * (1.0 / 3628800)))));
    // Quarters of a turn exchange the two and change signs.
    const Bits quarter = (Bits)rounded;
    const Bits sin = (Bits)((quarter & 1) != 0 ? c : s) ^ (quarter & 2) << 62;
    const Bits cos = (Bits)((quarter & 1) != 0 ? s : c) ^ ((quarter + 1) & 2) << 62;
    const Floats sin_f = __builtin_convertvector((Doubles)sin, Floats) * factor;
    const Floats cos_f = __builtin_convertvector((Doubles)cos, Floats) * factor;
    __builtin_memcpy(sine + i, &sin_f, sizeof sin_f);
    __builtin_memcpy(cosine + i, &cos_f, sizeof cos_f);
  }
}

}  // namespace
}  // namespace sis::kernels
