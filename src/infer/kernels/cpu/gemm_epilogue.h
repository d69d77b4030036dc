// What happens to the sums of a few rows and one block of 32 columns: scales, high digits, bias,
// activation, residual, and the way out as f32 or bf16. V is a vector of gemm_simd.h; all widths
// give the same bits.
//
//   int8, int4  v = fma((acc + 128 * sum(high * q)) * row_scale, scale, bias)
//   else        v = acc + bias
//   y = act(v) + residual; gated: y = act(v of a gate) * v of what it gates, 16 columns
//
// Several vectors go through each step together: one polynomial is a chain of dependent operations,
// and the CPU's window is too small to overlap whole chains by itself (8 in step are 2-3x faster
// than one by one).
//
// In an unnamed namespace on purpose, see gemm_simd.h.
#pragma once

#include "infer/kernels/cpu/gemm_simd.h"
#include "infer/kernels/gemm.h"

namespace sis::gemm {
namespace {

template <class T>
inline constexpr bool kIsInt = false;
template <>
inline constexpr bool kIsInt<int32_t> = true;

#define SIS_EACH for (int i = 0; i < N; ++i)

// e^x within 2 ulp for x in [-87, 88], clamped there. Cody-Waite reduction and the polynomial of
// Cephes' expf.
template <class V, int N>
inline __attribute__((always_inline)) void exp_approx(V (&x)[N]) {
  constexpr float kP[] = {1.9875691500e-4f, 1.3981999507e-3f, 8.3334519073e-3f,
                          4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f};
  const V magic = V::set(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
  V n[N], p[N];
  SIS_EACH x[i] = min(max(x[i], V::set(-87.0f)), V::set(88.0f));
  SIS_EACH n[i] = fma(x[i], V::set(1.44269504f), magic) - magic;
  SIS_EACH x[i] = fma(n[i], V::set(-0.693359375f), x[i]);
  SIS_EACH x[i] = fma(n[i], V::set(2.12194440e-4f), x[i]);
  SIS_EACH p[i] = V::set(kP[0]);
#pragma GCC unroll 5
  for (int k = 1; k < 6; ++k) SIS_EACH p[i] = fma(p[i], x[i], V::set(kP[k]));
  SIS_EACH p[i] = fma(p[i], x[i] * x[i], x[i]) + V::set(1.0f);
  SIS_EACH x[i] = scale2(p[i], n[i]);
}

// x Φ(x) with Φ(t) = 1/2 + t P(2 t² / c² - 1), t = x clamped to [-c, c]: minimax fits, exactly 0
// below -c and x above c.
//   for f32 out   c = 5.2, degree 13: absolute error below 1.4e-6 everywhere (3e-7 of |x| above 1)
//   for bf16 out  c = 4.8, degree 10: absolute error below 8e-6, under half a step of bf16 from
//   0.01 up
struct GeluFit {
  int degree;
  float c, two_over_c2;
  float p[14];
};
inline constexpr GeluFit kGeluF32{
    13,
    5.2f,
    0x1.2ef566p-4f,
    {0x1.166cf6p-3f, -0x1.157a58p-4f, 0x1.99cf58p-5f, -0x1.471f76p-5f, 0x1.05ee2ap-5f,
     -0x1.94aa6ep-6f, 0x1.278c40p-6f, -0x1.9d85b4p-7f, 0x1.121ae4p-7f, -0x1.29ae0ep-8f,
     0x1.06d568p-9f, -0x1.810d3ap-10f, 0x1.37993cp-10f, -0x1.970fa6p-12f}};
inline constexpr GeluFit kGeluBf16{
    10,
    4.8f,
    0x1.638e38p-4f,
    {0x1.2d7e04p-3f, -0x1.2aecf2p-4f, 0x1.b1641cp-5f, -0x1.4c511cp-5f, 0x1.f754d2p-6f,
     -0x1.6b84d4p-6f, 0x1.c64b56p-7f, -0x1.e7d376p-8f, 0x1.616930p-8f, -0x1.12e3d4p-8f,
     0x1.7a6df0p-10f}};

template <const GeluFit& kFit, class V, int N>
inline __attribute__((always_inline)) void gelu(V (&x)[N]) {
  V t[N], u[N], p[N];
  SIS_EACH t[i] = max(min(x[i], V::set(kFit.c)), V::set(-kFit.c));
  SIS_EACH u[i] = fma(t[i] * V::set(kFit.two_over_c2), t[i], V::set(-1.0f));
  SIS_EACH p[i] = V::set(kFit.p[kFit.degree]);
#pragma GCC unroll 14
  for (int k = kFit.degree - 1; k >= 0; --k) SIS_EACH p[i] = fma(p[i], u[i], V::set(kFit.p[k]));
  SIS_EACH p[i] = max(fma(t[i], p[i], V::set(0.5f)), V::set(0.0f));
  SIS_EACH x[i] = x[i] * p[i];
}

// x / (1 + e^z), for x finite or not.
//   for f32 out   as exp_approx() is
//   for bf16 out  relative error below 1e-5, a two-hundredth of what rounding to bf16 does; exact
//                 division would take longer than all the rest. z counts up to 83 either way.
template <class V, int N>
inline __attribute__((always_inline)) void times_sigmoid(V (&x)[N], V (&z)[N]) {
  exp_approx(z);
  SIS_EACH x[i] = x[i] / (z[i] + V::set(1.0f));
}
template <class V, int N>
inline __attribute__((always_inline)) void times_sigmoid_bf16(V (&x)[N], V (&z)[N]) {
  // 2^f for f in [-1/2, 1/2], minimax of degree 4.
  constexpr float kP[] = {0x1.3997cap-7f, 0x1.ca1440p-5f, 0x1.ec06dap-3f, 0x1.62e0dcp-1f,
                          0x1.ffffe8p-1f};
  const V magic = V::set(12582912.0f), one = V::set(1.0f);  // 1.5 * 2^23: adding it rounds
  V n[N], p[N];
  SIS_EACH z[i] = min(max(z[i] * V::set(1.44269504f), V::set(-120.0f)), V::set(120.0f));
  SIS_EACH n[i] = z[i] + magic;
  SIS_EACH z[i] = z[i] - (n[i] - magic);
  SIS_EACH p[i] = V::set(kP[0]);
#pragma GCC unroll 4
  for (int k = 1; k < 5; ++k) SIS_EACH p[i] = fma(p[i], z[i], V::set(kP[k]));
  SIS_EACH p[i] = scale2_magic(p[i], n[i]);
  SIS_EACH n[i] = rough_reciprocal(p[i] + one);
  SIS_EACH p[i] = V::set(-1.0f) - p[i];
  // A cubic and a quadratic step of Newton's.
  SIS_EACH z[i] = fma(p[i], n[i], one);
  SIS_EACH z[i] = fma(z[i], z[i], z[i]);
  SIS_EACH n[i] = fma(n[i], z[i], n[i]);
  SIS_EACH z[i] = fma(p[i], n[i], one);
  SIS_EACH x[i] = x[i] * fma(n[i], z[i], n[i]);
}

template <class V, int N>
inline __attribute__((always_inline)) void silu(V (&x)[N], bool bf16_out) {
  V z[N];
  SIS_EACH z[i] = V::set(0.0f) - x[i];
  return bf16_out ? times_sigmoid_bf16(x, z) : times_sigmoid(x, z);
}

// x/2 (1 + tanh(√(2/π) (x + 0.044715 x³))) = x / (1 + e^(-2 √(2/π) (x + 0.044715 x³)))
template <class V, int N>
inline __attribute__((always_inline)) void gelu_tanh(V (&x)[N], bool bf16_out) {
  V z[N];
  SIS_EACH z[i] = fma(x[i] * x[i] * V::set(0.044715f), x[i], x[i]) * V::set(-1.59576912f);
  return bf16_out ? times_sigmoid_bf16(x, z) : times_sigmoid(x, z);
}

template <class V, int N>
inline __attribute__((always_inline)) void activate(V (&x)[N], Act act, bool bf16_out) {
  switch (act) {
    case Act::kNone:
      return;
    case Act::kGelu:
      return bf16_out ? gelu<kGeluBf16>(x) : gelu<kGeluF32>(x);
    case Act::kGeluTanh:
      return gelu_tanh(x, bf16_out);
    case Act::kRelu:
      SIS_EACH x[i] = max(V::set(0.0f), x[i]);  // a NaN stays one
      return;
    case Act::kSilu:
      return silu(x, bf16_out);
  }
}
#undef SIS_EACH

// Weights of element k of K for the columns of one vector, whose first is `column` of 16 in a half
// of `block`.
template <class V>
inline V weights_int8(const Weights& w, int64_t block, int64_t half, int64_t column, uint32_t k) {
  const uint8_t* line = w.tiles + ((block * w.k_tiles + k / 64) * 2 + half) * kHalfBytes +
                        k % 64 / 4 * 64 + column * 4;
  return V::load_byte(line, static_cast<int>(k % 4));
}
template <class V>
inline V weights_int4(const Weights& w, int64_t block, int64_t half, int64_t column, uint32_t k) {
  const uint8_t* base = w.tiles + ((block * w.k_tiles + k / 64) * 2 + half) * kInt4HalfBytes;
  const uint32_t group = k % 64 / kGroup;
  const uint8_t* line = base + kInt4StepBytes + k % kGroup / 4 * 64 + column * 4;
  const uint8_t* steps = base + group * 32 + column * 2;
  const V n = V::load_nibble(line, static_cast<int>(k % 4 * 2 + group));
  return n * V::load_low_byte(steps) - V::load_high_byte(steps);
}

// The part of row `row`'s high digits for the columns of one vector.
template <class V>
__attribute__((noinline)) V high_part(const Product& p, int64_t row, int64_t block, int64_t half,
                                      int64_t column) {
  const HighDigits& high = p.high[row];
  V sum = V::set(0.0f);  // integers below 2^24: exact in any order
  for (int i = 0; i < p.row_scale[row].loud; ++i) {
    const auto k = static_cast<uint32_t>(high.column[i]);
    const V weights = p.weights.int4 ? weights_int4<V>(p.weights, block, half, column, k)
                                     : weights_int8<V>(p.weights, block, half, column, k);
    sum = fma(weights, V::set(high.digit[i]), sum);
  }
  return sum;
}

// Where a call writes; `column` is already in the pointers.
struct Sink {
  const float* residual;  // or null
  int64_t residual_stride;
  void* y;
  int64_t y_stride;
};

// Columns of y that a block ends up in, and the first of them.
inline int64_t columns_of(const Weights& w) { return w.gated ? kBlockCols / 2 : kBlockCols; }
inline int64_t column_of(const Weights& w, int64_t block) { return block * columns_of(w); }

// The sums of one row and block as values, from `column` of them on.
template <class V, bool kLoud, class Acc>
inline __attribute__((always_inline)) V value_of(const Product& p, int64_t row, int64_t block,
                                                 int64_t column, const Acc* acc) {
  const Weights& w = p.weights;
  const int64_t at = block * kBlockCols + column;
  if constexpr (kIsInt<Acc>) {
    V x = V::load_int(acc);
    if constexpr (kLoud)
      x = fma(high_part<V>(p, row, block, column / 16, column % 16), V::set(128.0f), x);
    return fma(x * V::set(p.row_scale[row].scale), V::load(w.scale + at), V::load(w.bias + at));
  } else {
    return V::load(acc) + V::load(w.bias + at);
  }
}

// kRows rows of N vectors on their way out.
template <int kRows, class V, int N>
inline __attribute__((always_inline)) void write_out(V (&v)[N], const Product& p,
                                                     const Sink& sink) {
  constexpr int kPerRow = N / kRows;
  if (sink.residual) {
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r)
      for (int j = 0; j < kPerRow; ++j)
        v[r * kPerRow + j] =
            v[r * kPerRow + j] + V::load(sink.residual + r * sink.residual_stride + j * V::kLanes);
  }
  if (p.y_bf16) {
    uint16_t* y = static_cast<uint16_t*>(sink.y);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r)
      for (int j = 0; j < kPerRow; ++j)
        v[r * kPerRow + j].store_bf16(y + r * sink.y_stride + j * V::kLanes);
  } else {
    float* y = static_cast<float*>(sink.y);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r)
      for (int j = 0; j < kPerRow; ++j)
        v[r * kPerRow + j].store(y + r * sink.y_stride + j * V::kLanes);
  }
}

// Sums of row r: columns 0..15 of the block at acc0 + r * acc_stride, columns 16..31 at acc1 + r *
// acc_stride.
template <class V, int kRows, bool kLoud, class Acc>
inline __attribute__((always_inline)) void finish_full(const Product& p, int64_t row, int64_t block,
                                                       const Acc* acc0, const Acc* acc1,
                                                       int64_t acc_stride, const Sink& sink) {
  constexpr int kPerHalf = static_cast<int>(kBlockCols) / 2 / V::kLanes, N = kRows * kPerHalf;
  const auto read = [&](int r, int half, int j) __attribute__((always_inline)) {
    const int64_t c = j * V::kLanes;
    return value_of<V, kLoud>(p, row + r, block, half * 16 + c,
                              (half ? acc1 : acc0) + r * acc_stride + c);
  };
  if (p.weights.gated) {
    V v[N];
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 2
      for (int j = 0; j < kPerHalf; ++j) v[r * kPerHalf + j] = read(r, 0, j);
    activate(v, p.act, p.y_bf16);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 2
      for (int j = 0; j < kPerHalf; ++j) v[r * kPerHalf + j] = v[r * kPerHalf + j] * read(r, 1, j);
    write_out<kRows>(v, p, sink);
  } else {
    V v[2 * N];
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
      for (int j = 0; j < 2 * kPerHalf; ++j)
        v[r * 2 * kPerHalf + j] = read(r, j / kPerHalf, j % kPerHalf);
    activate(v, p.act, p.y_bf16);
    write_out<kRows>(v, p, sink);
  }
}

// Rows of which some have high digits.
template <class V, int kRows, class Acc>
__attribute__((noinline)) void finish_loud(const Product& p, int64_t row, int64_t block,
                                           const Acc* acc0, const Acc* acc1, int64_t acc_stride,
                                           const Sink& sink) {
  finish_full<V, kRows, true>(p, row, block, acc0, acc1, acc_stride, sink);
}

// The last block, where y ends inside it: one row through a buffer.
template <class V, class Acc>
__attribute__((noinline)) void finish_narrow(const Product& p, int64_t row, int64_t block,
                                             const Acc* acc0, const Acc* acc1, const Sink& sink) {
  const int64_t columns = p.weights.out - column_of(p.weights, block);
  float residual[kBlockCols] = {};
  float y[kBlockCols];  // f32, or bf16 in its first half
  if (sink.residual)
    for (int64_t c = 0; c < columns; ++c) residual[c] = sink.residual[c];
  finish_full<V, 1, kIsInt<Acc>>(p, row, block, acc0, acc1, 0,
                                 {sink.residual ? residual : nullptr, 0, y, 0});
  const int64_t bytes = columns * (p.y_bf16 ? 2 : 4);
  __builtin_memcpy(sink.y, y, static_cast<unsigned long>(bytes));
}

template <class V, int kRows, class Acc>
inline void finish_rows(const Product& p, int64_t row, int64_t block, const Acc* acc0,
                        const Acc* acc1, int64_t acc_stride) {
  const int64_t column = column_of(p.weights, block);
  const int64_t y_bytes = p.y_bf16 ? 2 : 4;
  Sink sink{p.residual ? p.residual + row * p.residual_stride + column : nullptr, p.residual_stride,
            static_cast<uint8_t*>(p.y) + (row * p.y_stride + column) * y_bytes, p.y_stride};
  if (p.weights.out - column >= columns_of(p.weights)) {
    if constexpr (kIsInt<Acc>) {
      int32_t loud = 0;
      for (int r = 0; r < kRows; ++r) loud |= p.row_scale[row + r].loud;
      if (loud != 0) return finish_loud<V, kRows>(p, row, block, acc0, acc1, acc_stride, sink);
    }
    return finish_full<V, kRows, false>(p, row, block, acc0, acc1, acc_stride, sink);
  }
  for (int r = 0; r < kRows; ++r) {
    finish_narrow<V>(p, row + r, block, acc0 + r * acc_stride, acc1 + r * acc_stride, sink);
    if (sink.residual) sink.residual += sink.residual_stride;
    sink.y = static_cast<uint8_t*>(sink.y) + sink.y_stride * y_bytes;
  }
}

}  // namespace
}  // namespace sis::gemm
