// Plain C++: what runs anywhere and what tests compare with.
#include "infer/kernels/gemm.h"

#include "infer/kernels/cpu/gemm_prepare.h"
#include "infer/kernels/cpu/gemm_rows.h"

namespace sis::gemm::ref {
namespace {

const uint8_t* line_of(const uint8_t* b, int64_t line, int64_t half) {
  return b + (line / 16 * 2 + half) * kHalfBytes + line % 16 * 64;
}

struct F32 {
  using X = float;
  using Acc = float;
  using V = F32x1;
  static constexpr int kRows = 1;
  static constexpr bool kPrepared = false;
  template <int R>
  static void run(const float* const (&rows)[R], const Weights& w, int64_t, const uint8_t* b,
                  float* sums) {
    for (int64_t c = 0; c < kBlockCols; ++c) sums[c] = 0;
    for (int64_t k = 0; k < w.in; ++k)
      for (int64_t c = 0; c < kBlockCols; ++c)
        sums[c] += rows[0][k] * reinterpret_cast<const float*>(line_of(b, k, c / 16))[c % 16];
  }
};

struct Bf16 {
  using X = uint16_t;
  using Acc = float;
  using V = F32x1;
  static constexpr int kRows = 1;
  static constexpr bool kPrepared = false;
  template <int R>
  static void run(const uint16_t* const (&rows)[R], const Weights& w, int64_t, const uint8_t* b,
                  float* sums) {
    for (int64_t c = 0; c < kBlockCols; ++c) sums[c] = 0;
    for (int64_t k = 0; k < w.in; ++k)
      for (int64_t c = 0; c < kBlockCols; ++c) {
        const uint16_t weight =
            reinterpret_cast<const uint16_t*>(line_of(b, k / 2, c / 16))[c % 16 * 2 + k % 2];
        sums[c] += bf16_value(rows[0][k]) * bf16_value(weight);
      }
  }
};

struct Int8 {
  using X = uint8_t;
  using Acc = int32_t;
  using V = F32x1;
  static constexpr int kRows = 1;
  static constexpr bool kPrepared = true;
  template <int R>
  static void run(const uint8_t* const (&rows)[R], const Weights& w, int64_t, const uint8_t* b,
                  int32_t* sums) {
    for (int64_t c = 0; c < kBlockCols; ++c) sums[c] = 0;
    for (int64_t k = 0; k < w.in; ++k)
      for (int64_t c = 0; c < kBlockCols; ++c) {
        const auto weight = static_cast<int8_t>(line_of(b, k / 4, c / 16)[c % 16 * 4 + k % 4]);
        sums[c] += static_cast<int8_t>(rows[0][k]) * weight;
      }
  }
};

struct Int4 {
  using X = uint8_t;
  using Acc = int32_t;
  using V = F32x1;
  static constexpr int kRows = 1;
  static constexpr bool kPrepared = true;
  template <int R>
  static void run(const uint8_t* const (&rows)[R], const Weights& w, int64_t, const uint8_t* b,
                  int32_t* sums) {
    for (int64_t c = 0; c < kBlockCols; ++c) sums[c] = 0;
    for (int64_t k = 0; k < w.in; ++k)
      for (int64_t c = 0; c < kBlockCols; ++c) {
        const uint8_t* half = b + (k / 64 * 2 + c / 16) * kInt4HalfBytes;
        const int64_t group = k % 64 / kGroup;
        const uint8_t* pair = half + group * 32 + c % 16 * 2;
        const uint8_t both = half[kInt4StepBytes + k % kGroup / 4 * 64 + c % 16 * 4 + k % 4];
        const int32_t n = group == 0 ? both & 15 : both >> 4;
        sums[c] += static_cast<int8_t>(rows[0][k]) * (n * pair[0] - pair[1]);
      }
  }
};

}  // namespace

const Kernel kF32{nullptr, multiply_rows<F32>, no_scratch, 1, nullptr};
const Kernel kBf16{nullptr, multiply_rows<Bf16>, no_scratch, 1, nullptr};
const Kernel kInt8{quantise_rows<>, multiply_rows<Int8>, no_scratch, 1, nullptr};
const Kernel kInt4{quantise_rows<>, multiply_rows<Int4>, no_scratch, 1, nullptr};

}  // namespace sis::gemm::ref
