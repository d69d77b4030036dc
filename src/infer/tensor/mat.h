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

// A float tensor of any stored type, as it lies in a checkpoint: dense row-major, not owned.
struct WeightView {
  const void* data = nullptr;
  DType dtype = DType::kF32;
  int64_t rows = 1;  // a vector is [1, cols]
  int64_t cols = 0;

  bool empty() const { return data == nullptr; }
  int64_t bytes() const { return rows * cols * dtype_bytes(dtype); }
  float at(int64_t r, int64_t c) const {
    const int64_t i = r * cols + c;
    switch (dtype) {
      case DType::kF32: {
        float x;
        std::memcpy(&x, static_cast<const char*>(data) + i * 4, 4);
        return x;
      }
      case DType::kBf16: {
        bf16 x;
        std::memcpy(&x, static_cast<const char*>(data) + i * 2, 2);
        return to_float(x);
      }
      case DType::kF16: {
        f16 x;
        std::memcpy(&x, static_cast<const char*>(data) + i * 2, 2);
        return to_float(x);
      }
      default:
        return 0;
    }
  }
  // Row r as f32 into out[cols].
  void row_to(int64_t r, float* out) const;
};

}  // namespace sis
