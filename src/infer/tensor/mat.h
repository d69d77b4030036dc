// Views of matrices in memory: they never own and are passed by value.
#pragma once

#include <cstdint>
#include <span>
#include <type_traits>

#include "infer/tensor/dtype.h"

namespace sis {

// Row-major [rows, cols]; row r starts at data + r * stride (in elements, >= cols).
template <class T>
struct Mat {
  T* data = nullptr;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t stride = 0;

  Mat() = default;
  Mat(T* data, int64_t rows, int64_t cols, int64_t stride)
      : data(data), rows(rows), cols(cols), stride(stride) {}
  Mat(T* data, int64_t rows, int64_t cols) : Mat(data, rows, cols, cols) {}
  template <class U>
  requires std::is_same_v<const U, T> Mat(const Mat<U>& other)
      : Mat(other.data, other.rows, other.cols, other.stride) {}

  T* row(int64_t r) const { return data + r * stride; }
  T& at(int64_t r, int64_t c) const { return data[r * stride + c]; }
  Mat rows_between(int64_t begin, int64_t end) const {
    return {row(begin), end - begin, cols, stride};
  }
  Mat cols_between(int64_t begin, int64_t end) const {
    return {data + begin, rows, end - begin, stride};
  }
};

// Factors of a WeightView's blocks: dense row-major, one for each begun block.
struct BlockScales {
  const void* data = nullptr;
  DType dtype = DType::kF32;  // or bf16, f16
  int64_t block_rows = 1, block_cols = 1;
};

// A float tensor of any stored type, as it lies in a checkpoint: dense row-major, not owned.
struct WeightView {
  const void* data = nullptr;
  DType dtype = DType::kF32;
  int64_t rows = 1;  // a vector is [1, cols]
  int64_t cols = 0;
  BlockScales scales;  // what 8-bit values are multiplied by; others have none

  bool empty() const { return data == nullptr; }
  int64_t bytes() const { return rows * cols * dtype_bytes(dtype); }
  float at(int64_t r, int64_t c) const {
    const float x = value(data, dtype, r * cols + c);
    return scales.data ? x * scale_at(r, c) : x;
  }
  // Row r as f32 into out[cols].
  void row_to(int64_t r, float* out) const;

 private:
  float scale_at(int64_t r, int64_t c) const {
    const int64_t across = (cols + scales.block_cols - 1) / scales.block_cols;
    return value(scales.data, scales.dtype, r / scales.block_rows * across + c / scales.block_cols);
  }
  // Element i of `data`, which may be misaligned.
  static float value(const void* data, DType dtype, int64_t i) {
    switch (dtype) {
      case DType::kF32:
        return load<float>(data, i);
      case DType::kBf16:
        return load<bf16>(data, i);
      case DType::kF16:
        return load<f16>(data, i);
      case DType::kF8E4M3:
        return load<f8e4m3>(data, i);
      default:
        return 0;
    }
  }
  template <class T>
  static float load(const void* data, int64_t i) {
    T x;
    std::memcpy(&x, static_cast<const char*>(data) + i * static_cast<int64_t>(sizeof x), sizeof x);
    return to_float(x);
  }
};

}  // namespace sis
