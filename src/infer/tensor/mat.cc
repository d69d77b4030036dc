#include "infer/tensor/mat.h"

namespace sis {

void WeightView::row_to(int64_t r, float* out) const {
  if (dtype == DType::kF32) {
    std::memcpy(out, static_cast<const char*>(data) + r * cols * 4, static_cast<size_t>(cols) * 4);
    return;
  }
  for (int64_t c = 0; c < cols; ++c) out[c] = at(r, c);
}

}  // namespace sis
