# Decoder kernels: rows, rotation into the cache, attention over it.
set(decoder_sources cached_attention.cc ref/cached_attention.cc ref/decoder_rows.cc)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set_source_files_properties(cpu/decoder_rows_avx2.cc
    PROPERTIES COMPILE_OPTIONS "${SIS_AVX2_FLAGS}")
  set_source_files_properties(cpu/decoder_rows_avx512.cc
    PROPERTIES COMPILE_OPTIONS "${SIS_AVX512_FLAGS}")
  list(APPEND decoder_sources cpu/decoder_rows_avx2.cc cpu/decoder_rows_avx512.cc)
endif()
sis_library(sis_decoder_kernels SOURCES ${decoder_sources} DEPS sis_isa sis_tensor)
