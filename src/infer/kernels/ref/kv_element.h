// Single elements of a cached head, for the plain kernels.
#pragma once

#include "infer/kernels/kv_layout.h"

namespace sis::kernels::ref {

// Where dimension d of the key or value at place j of a block lies in its tile, in elements.
inline int64_t k_element(DType dtype, int64_t dim_padded, int64_t j, int64_t d) {
  if (dtype == DType::kF32) return (j / 16 * dim_padded + d) * 16 + j % 16;
  const int64_t pairs = (d / 32 * 2 + j / 16) * 512 + d % 32 / 2 * 32;
  return pairs + (dtype == DType::kI8 ? d % 2 * 16 + j % 16 : j % 16 * 2 + d % 2);
}
inline int64_t v_element(DType dtype, int64_t dim_padded, int64_t j, int64_t d) {
  if (dtype == DType::kF32) return j * dim_padded + d;
  const int64_t pairs = d / 16 * 512 + j % 16 * 32;
  return pairs + (dtype == DType::kI8 ? j / 16 * 16 + d % 16 : d % 16 * 2 + j / 16);
}

}  // namespace sis::kernels::ref
