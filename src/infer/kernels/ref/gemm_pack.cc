#include "infer/kernels/cpu/gemm_pack_loops.h"

namespace sis::gemm::ref {

const PackRows kPackRows{largest_of, row_to_bf16, row_to_int8, row_to_int4};

}  // namespace sis::gemm::ref
