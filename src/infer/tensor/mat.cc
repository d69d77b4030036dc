#include "infer/tensor/mat.h"

#include <algorithm>

namespace sis {

void WeightView::row_to(int64_t r, float* out) const {
  if (dtype == DType::kF32) {
    std::memcpy(out, static_cast<const char*>(data) + r * cols * 4, static_cast<size_t>(cols) * 4);
    return;
  }
  if (scales.data && dtype == DType::kF8E4M3) {
    const auto* row = static_cast<const uint8_t*>(data) + r * cols;
    for (int64_t begin = 0; begin < cols; begin += scales.block_cols) {
      const float scale = scale_at(r, begin);
      const int64_t end = std::min(begin + scales.block_cols, cols);
      for (int64_t c = begin; c < end; ++c) out[c] = to_float(f8e4m3{row[c]}) * scale;
    }
    return;
  }
  for (int64_t c = 0; c < cols; ++c) out[c] = at(r, c);
}

}  // namespace sis
