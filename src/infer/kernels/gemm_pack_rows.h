// One row of weights, as f32, to the elements of a compute type: the arithmetic of gemm_pack.h.
//
// Rows are padded with zeros to whole tiles. Every variant gives the same bits.
#pragma once

#include <cstdint>

#include "infer/kernels/gemm.h"
#include "infer/kernels/isa.h"

namespace sis::gemm {

// A row as integers, and what rounding did to it: sums of W^2 and of the squared changes.
struct RoundedRow {
  float scale = 0;
  int32_t sum = 0;  // of q over K
  double squares = 0, error_squares = 0;
};

struct PackRows {
  // Largest magnitude as the bits of an f32; from 0x7F800000 on a value is not finite.
  uint32_t (*largest)(const float* row, int64_t count);
  // To bf16 bits. False where a value rounds to infinity.
  bool (*to_bf16)(const float* row, int64_t count, uint16_t* to);
  RoundedRow (*to_int8)(const float* row, int64_t count, int8_t* to);
  // To n, a byte each, and {step, shift} of each group of 32. `count` is a multiple of 64.
  RoundedRow (*to_int4)(const float* row, int64_t count, uint8_t* to, uint8_t* steps);
};

namespace ref {
extern const PackRows kPackRows;
}
namespace avx2 {
extern const PackRows kPackRows;
}
namespace avx512 {
extern const PackRows kPackRows;
}

inline constexpr Variant<const PackRows*> kPackRowsVariants[] = {
#if defined(__x86_64__)
    {"avx512", Isa::kAvx512, &avx512::kPackRows},
    {"avx2", Isa::kAvx2, &avx2::kPackRows},
#endif
    {"ref", Isa::kRef, &ref::kPackRows},
};

}  // namespace sis::gemm
