# Decoder kernels: rows, rotation into the cache, attention over it.
set(decoder_sources cached_attention.cc ref/cached_attention.cc ref/decoder_rows.cc)
sis_library(sis_decoder_kernels SOURCES ${decoder_sources} DEPS sis_isa sis_tensor)
