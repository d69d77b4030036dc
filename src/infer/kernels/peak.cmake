sis_library(sis_peak
  SOURCES peak.cc cpu/peak_avx2.cc cpu/peak_avx512.cc cpu/peak_avx512_bf16.cc cpu/peak_amx.cc
  DEPS sis_isa sis_tensor)
set_source_files_properties(cpu/peak_avx2.cc PROPERTIES COMPILE_OPTIONS "${SIS_AVX2_FLAGS}")
set_source_files_properties(cpu/peak_avx512.cc PROPERTIES COMPILE_OPTIONS "${SIS_AVX512_FLAGS}")
set_source_files_properties(cpu/peak_avx512_bf16.cc PROPERTIES COMPILE_OPTIONS "${SIS_AVX512_BF16_FLAGS}")
set_source_files_properties(cpu/peak_amx.cc PROPERTIES COMPILE_OPTIONS "${SIS_AMX_FLAGS}")
