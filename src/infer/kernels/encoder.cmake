# Row-wise kernels and attention: one file per operation and instruction set.
set(rowwise_sources attention.cc ref/attention.cc ref/rowwise.cc)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set_source_files_properties(cpu/attention_avx2.cc cpu/rowwise_avx2.cc
    PROPERTIES COMPILE_OPTIONS "${SIS_AVX2_FLAGS}")
  set_source_files_properties(cpu/attention_avx512.cc cpu/rowwise_avx512.cc
    PROPERTIES COMPILE_OPTIONS "${SIS_AVX512_FLAGS}")
  set_source_files_properties(cpu/attention_avx512_bf16.cc
    PROPERTIES COMPILE_OPTIONS "${SIS_AVX512_BF16_FLAGS}")
  set_source_files_properties(cpu/attention_amx.cc
    PROPERTIES COMPILE_OPTIONS "${SIS_AMX_FLAGS}")
  list(APPEND rowwise_sources
    cpu/attention_avx2.cc cpu/attention_avx512.cc cpu/attention_avx512_bf16.cc cpu/attention_amx.cc
    cpu/rowwise_avx2.cc cpu/rowwise_avx512.cc)
endif()
sis_library(sis_rowwise SOURCES ${rowwise_sources} DEPS sis_isa sis_tensor)
