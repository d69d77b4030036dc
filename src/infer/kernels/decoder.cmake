# Decoder kernels: rows, rotation into the cache, attention over it.
set(decoder_sources cached_attention.cc ref/cached_attention.cc ref/decoder_rows.cc)
set(decoder_flags)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  list(APPEND decoder_flags -Wno-uninitialized)  # g++ 12's own intrinsics
  if(SIS_SANITIZE)
    list(APPEND decoder_flags -fno-tree-sra)  # without it g++ 12 fails on these files at -O1
  endif()
endif()
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set_source_files_properties(cpu/cached_attention_avx2.cc
    PROPERTIES COMPILE_OPTIONS "${decoder_flags};${SIS_AVX2_FLAGS}")
  set_source_files_properties(cpu/cached_attention_avx512.cc
    PROPERTIES COMPILE_OPTIONS "${decoder_flags};${SIS_AVX512_FLAGS}")
  set_source_files_properties(cpu/cached_attention_avx512_bf16.cc
    PROPERTIES COMPILE_OPTIONS "${decoder_flags};${SIS_AVX512_BF16_FLAGS}")
  # What is worth a vector is one already; of scattered stores compilers make ten times the code.
  set(row_flags ${decoder_flags} -fno-tree-vectorize)
  set_source_files_properties(cpu/decoder_rows_avx2.cc
    PROPERTIES COMPILE_OPTIONS "${row_flags};${SIS_AVX2_FLAGS}")
  set_source_files_properties(cpu/decoder_rows_avx512.cc
    PROPERTIES COMPILE_OPTIONS "${row_flags};${SIS_AVX512_FLAGS}")
  set_source_files_properties(cpu/decoder_rows_avx512_bf16.cc
    PROPERTIES COMPILE_OPTIONS "${row_flags};${SIS_AVX512_BF16_FLAGS}")
  set_source_files_properties(cpu/cached_attention_amx.cc
    PROPERTIES COMPILE_OPTIONS "${decoder_flags};${SIS_AMX_FLAGS};-mavx512vbmi;-mavx512fp16")
  list(APPEND decoder_sources
    cpu/cached_attention_avx2.cc cpu/cached_attention_avx512.cc
    cpu/cached_attention_avx512_bf16.cc cpu/cached_attention_amx.cc
    cpu/decoder_rows_avx2.cc cpu/decoder_rows_avx512.cc cpu/decoder_rows_avx512_bf16.cc)
endif()
sis_library(sis_decoder_kernels SOURCES ${decoder_sources} DEPS sis_isa sis_tensor)
