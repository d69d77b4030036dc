# matrix products: plain C++ plus one file per CPU level
set(gemm_sources gemm_pack.cc ref/gemm.cc ref/gemm_pack.cc)
set(gemm_flags -ffp-contract=off)  # the same bits from every integer variant
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  list(APPEND gemm_flags -Wno-uninitialized)  # g++ 12's own intrinsics
endif()
set_source_files_properties(ref/gemm.cc ref/gemm_pack.cc PROPERTIES COMPILE_OPTIONS "${gemm_flags}")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  list(APPEND gemm_sources cpu/gemm_avx2.cc cpu/gemm_avx512.cc cpu/gemm_avx512_bf16.cc cpu/gemm_amx.cc
    cpu/gemm_pack_avx2.cc cpu/gemm_pack_avx512.cc)
  set_source_files_properties(cpu/gemm_avx2.cc cpu/gemm_pack_avx2.cc PROPERTIES
    COMPILE_OPTIONS "${gemm_flags};${SIS_AVX2_FLAGS}")
  set_source_files_properties(cpu/gemm_avx512.cc cpu/gemm_pack_avx512.cc PROPERTIES
    COMPILE_OPTIONS "${gemm_flags};${SIS_AVX512_FLAGS}")
  set_source_files_properties(cpu/gemm_avx512_bf16.cc PROPERTIES
    COMPILE_OPTIONS "${gemm_flags};${SIS_AVX512_BF16_FLAGS}")
  set_source_files_properties(cpu/gemm_amx.cc PROPERTIES COMPILE_OPTIONS "${gemm_flags};${SIS_AMX_FLAGS}")
endif()
sis_library(sis_gemm SOURCES ${gemm_sources} DEPS sis_isa sis_tensor)
