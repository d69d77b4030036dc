// The variants of the packed matrix products, best first; the last runs anywhere.
#pragma once

#include "infer/kernels/gemm.h"
#include "infer/kernels/isa.h"

namespace sis::gemm {

using GemmVariant = Variant<const Kernel*>;

inline constexpr GemmVariant kF32Variants[] = {
#if defined(__x86_64__)
    {"avx512_f32", Isa::kAvx512, &avx512::kF32},
    {"avx2_f32", Isa::kAvx2, &avx2::kF32},
#endif
    {"ref_f32", Isa::kRef, &ref::kF32},
};

inline constexpr GemmVariant kBf16Variants[] = {
#if defined(__x86_64__)
    {"amx_bf16", Isa::kAmx, &amx::kBf16},
    {"avx512_bf16", Isa::kAvx512Bf16, &avx512_bf16::kBf16},
    {"avx512_bf16_as_f32", Isa::kAvx512, &avx512::kBf16},
    {"avx2_bf16_as_f32", Isa::kAvx2, &avx2::kBf16},
#endif
    {"ref_bf16", Isa::kRef, &ref::kBf16},
};

inline constexpr GemmVariant kInt8Variants[] = {
#if defined(__x86_64__)
    {"amx_int8", Isa::kAmx, &amx::kInt8},
    {"avx512_vnni_int8", Isa::kAvx512Bf16, &avx512_bf16::kInt8},
    {"avx512_int8", Isa::kAvx512, &avx512::kInt8},
    {"avx2_int8", Isa::kAvx2, &avx2::kInt8},
#endif
    {"ref_int8", Isa::kRef, &ref::kInt8},
};

inline constexpr GemmVariant kInt4Variants[] = {
#if defined(__x86_64__)
    {"amx_int4", Isa::kAmx, &amx::kInt4},
    {"avx512_vnni_int4", Isa::kAvx512Bf16, &avx512_bf16::kInt4},
    {"avx512_int4", Isa::kAvx512, &avx512::kInt4},
    {"avx2_int4", Isa::kAvx2, &avx2::kInt4},
#endif
    {"ref_int4", Isa::kRef, &ref::kInt4},
};

}  // namespace sis::gemm
